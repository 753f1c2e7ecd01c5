/*
 * schema_write.h - the schema of a table as its log spells it: of a new table, and of one that gets
 * more columns.
 */
#ifndef MR_CONNECT_DELTA_SCHEMA_WRITE_H
#define MR_CONNECT_DELTA_SCHEMA_WRITE_H

#include "connect/delta/table.h"

/*
 * The fields as a new table holds them: UUID and JSON are STRING, and everything may be NULL (what a
 * frame knows of its rows today is no promise for the table's later ones; Spark does the same).
 * MR_CONFIG, naming the column, for a type that it cannot (TIME, INTERVAL, columns that are only
 * NULL), and for names that differ in ASCII case only.
 */
enum mr_status delta_schema_storable(const struct mr_schema *schema, struct mr_arena *arena,
                                     const struct mr_schema **out, struct mr_error *err);
/* MR_CONFIG for names that a table without column mapping cannot have, as in Spark: " ,;{}()\n\t=". */
enum mr_status delta_schema_check_names(const struct mr_schema *schema, struct mr_error *err);
/* Is there a TIMESTAMP_NTZ in it, at any depth? Then the protocol needs timestampNtz. */
bool delta_schema_has_ntz(const struct mr_schema *schema);
/* schemaString of a new table, no metadata on any field. */
void delta_put_schema(struct mr_bytes *out, const struct mr_schema *schema);
/*
 * schemaString of `metadata` with what `incoming` (storable) has more: columns behind the others,
 * fields of structs behind those of the struct, at any depth. All metadata of the old fields stay.
 * With column mapping new fields get numbers from *next_id on, and physical names made of `seed`.
 * *added counts the new fields.
 */
enum mr_status delta_put_merged_schema(struct mr_bytes *out, const struct delta_metadata *metadata,
                                       const struct mr_schema *incoming, const char *seed,
                                       int64_t *next_id, int *added, struct mr_error *err);
/* Metadata of the same table with another schema and other properties: reads the schema. */
enum mr_status delta_metadata_with(const struct delta_metadata *metadata, const char *schema_json,
                                   const struct delta_pair *configuration, int nconfiguration,
                                   struct mr_arena *arena, const struct delta_metadata **out,
                                   struct mr_error *err);

#endif
