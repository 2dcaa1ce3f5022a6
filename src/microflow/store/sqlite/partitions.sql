-- Grids of partitions, with SQLite's functions: PostgreSQL has string_agg and json_array_elements_text, and orders no group by itself.

-- One row for each category: its times in one text and their statuses in another, since a row for each of 200,000 cells would
-- take most of the time that there is. With its categories named, a few days of many are found without reading the others.
-- name: partition_statuses
SELECT cat_partition, group_concat(time_partition, ','), group_concat(CASE status WHEN 'success' THEN 's' WHEN 'error' THEN 'e'
    WHEN 'skipped' THEN 'k' ELSE 'c' END, '') FROM partitions
WHERE flow = :flow AND job = :job AND cat_partition IN (SELECT value FROM json_each(:cats))
    AND time_partition BETWEEN :first AND :last AND status IS NOT NULL
GROUP BY cat_partition

-- name: partition_durations
SELECT cat_partition, group_concat(time_partition, ','), group_concat(CASE
    WHEN started_at IS NULL OR ended_at IS NULL THEN ' ' WHEN ended_at - started_at < :level_0 THEN 'a'
    WHEN ended_at - started_at < :level_1 THEN 'b' WHEN ended_at - started_at < :level_2 THEN 'c'
    WHEN ended_at - started_at < :level_3 THEN 'd' WHEN ended_at - started_at < :level_4 THEN 'e'
    WHEN ended_at - started_at < :level_5 THEN 'f' WHEN ended_at - started_at < :level_6 THEN 'g'
    WHEN ended_at - started_at < :level_7 THEN 'h' WHEN ended_at - started_at < :level_8 THEN 'i'
    WHEN ended_at - started_at < :level_9 THEN 'j' WHEN ended_at - started_at < :level_10 THEN 'k'
    ELSE 'l' END, '') FROM partitions
WHERE flow = :flow AND job = :job AND cat_partition IN (SELECT value FROM json_each(:cats))
    AND time_partition BETWEEN :first AND :last AND status IS NOT NULL
GROUP BY cat_partition

-- name: partition_ages
SELECT cat_partition, group_concat(time_partition, ','), group_concat(CASE
    WHEN ended_at IS NULL THEN ' ' WHEN :now - ended_at < :level_0 THEN 'a'
    WHEN :now - ended_at < :level_1 THEN 'b' WHEN :now - ended_at < :level_2 THEN 'c' WHEN :now - ended_at < :level_3 THEN 'd'
    WHEN :now - ended_at < :level_4 THEN 'e' WHEN :now - ended_at < :level_5 THEN 'f' WHEN :now - ended_at < :level_6 THEN 'g'
    WHEN :now - ended_at < :level_7 THEN 'h' WHEN :now - ended_at < :level_8 THEN 'i' WHEN :now - ended_at < :level_9 THEN 'j'
    WHEN :now - ended_at < :level_10 THEN 'k' ELSE 'l' END, '') FROM partitions
WHERE flow = :flow AND job = :job AND cat_partition IN (SELECT value FROM json_each(:cats))
    AND time_partition BETWEEN :first AND :last AND status IS NOT NULL
GROUP BY cat_partition
