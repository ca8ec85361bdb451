SELECT
    flights.carrier,
    airlines.name AS airline,
    CAST(date_trunc('month', flights.flight_date) AS DATE) AS month,
    count(*) AS flights,
    count(*) FILTER (WHERE flights.cancelled) AS cancelled,
    count(*) FILTER (WHERE flights.diverted) AS diverted,
    avg(CAST(flights.cancelled AS INTEGER)) AS cancelled_share,
    avg(CAST(flights.arr_delay > 15 AS INTEGER)) AS late_share,
    avg(flights.dep_delay) AS mean_dep_delay,
    avg(flights.arr_delay) AS mean_arr_delay,
    median(flights.arr_delay) AS median_arr_delay,
    quantile_cont(flights.arr_delay, 0.9) AS p90_arr_delay
FROM flights.silver.flights AS flights
JOIN flights.silver.airlines AS airlines USING (carrier)
GROUP BY flights.carrier, airlines.name, month
ORDER BY flights.carrier, month
