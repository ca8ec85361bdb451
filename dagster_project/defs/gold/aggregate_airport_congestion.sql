WITH scheduled AS (
    SELECT
        origin AS airport,
        date_trunc('hour', scheduled_departure_at) AS hour_at,
        count(*) AS scheduled_departures,
        count(*) FILTER (WHERE cancelled) AS cancelled,
        avg(dep_delay) AS mean_dep_delay,
        avg(CAST(dep_delay > 15 AS INTEGER)) AS late_share
    FROM flights.silver.flights
    GROUP BY airport, hour_at
),
departed AS (
    SELECT origin AS airport, date_trunc('hour', departed_at) AS hour_at, count(*) AS departures
    FROM flights.silver.flights
    WHERE departed_at IS NOT NULL
    GROUP BY airport, hour_at
),
-- A flight waits from its scheduled hour until its actual one: +1 where waiting begins, -1 where it ends.
changes AS (
    SELECT origin AS airport, date_trunc('hour', scheduled_departure_at) + INTERVAL 1 HOUR AS hour_at, 1 AS change
    FROM flights.silver.flights
    WHERE date_trunc('hour', departed_at) > date_trunc('hour', scheduled_departure_at)
    UNION ALL
    SELECT origin, date_trunc('hour', departed_at) + INTERVAL 1 HOUR, -1
    FROM flights.silver.flights
    WHERE date_trunc('hour', departed_at) > date_trunc('hour', scheduled_departure_at)
),
hours AS (
    SELECT airport, hour_at FROM scheduled
    UNION
    SELECT airport, hour_at FROM departed
    UNION
    SELECT airport, hour_at FROM changes
),
waiting AS (
    SELECT
        hours.airport,
        hours.hour_at,
        sum(coalesce(per_hour.change, 0)) OVER (PARTITION BY hours.airport ORDER BY hours.hour_at) AS waiting
    FROM hours
    LEFT JOIN (
        SELECT airport, hour_at, sum(change) AS change FROM changes GROUP BY airport, hour_at
    ) AS per_hour USING (airport, hour_at)
)
SELECT
    waiting.airport,
    waiting.hour_at,
    coalesce(scheduled.scheduled_departures, 0) AS scheduled_departures,
    coalesce(scheduled.cancelled, 0) AS cancelled,
    coalesce(departed.departures, 0) AS departures,
    CAST(waiting.waiting AS BIGINT) AS waiting,
    scheduled.mean_dep_delay,
    scheduled.late_share,
    weather.visib,
    weather.wind_speed
FROM waiting
LEFT JOIN scheduled USING (airport, hour_at)
LEFT JOIN departed USING (airport, hour_at)
LEFT JOIN flights.silver.weather AS weather ON weather.origin = waiting.airport AND weather.observed_at = waiting.hour_at
ORDER BY waiting.airport, waiting.hour_at
