SELECT
    flights.origin,
    flights.dest,
    airports.name AS dest_name,
    count(*) AS flights,
    count_if(flights.cancelled) AS cancelled,
    avg(CAST(flights.cancelled AS INT)) AS cancelled_share,
    avg(CAST(flights.arr_delay > 15 AS INT)) AS late_share,
    avg(flights.arr_delay) AS mean_arr_delay,
    percentile(flights.arr_delay, 0.5) AS median_arr_delay,
    percentile(flights.arr_delay, 0.9) AS p90_arr_delay,
    avg(flights.air_time) AS mean_air_time,
    max(flights.distance) AS distance
FROM flights.silver.flights AS flights
LEFT JOIN flights.silver.airports AS airports ON airports.faa = flights.dest
GROUP BY flights.origin, flights.dest, airports.name
ORDER BY flights.origin, flights.dest
