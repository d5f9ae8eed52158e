// Package lake keeps the history of Millrace in Apache Iceberg tables over Parquet files: `millrace.events` and
// `millrace.exposures`. It is the only package that knows Iceberg and Parquet.
//
// Landing is exactly once. The Kafka position that a table holds stands in the table's own properties (the fence) and
// moves in the same atomic commit as the rows up to it; see fence.go and commit.go. Reading goes the other way round:
// Iceberg plans which files may match, and only the wanted columns of those are read, page by page, into Arrow record
// batches; see scan.go. FORMAT.md documents every column for programs other than Millrace.
package lake
