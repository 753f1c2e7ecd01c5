/*
 * avro_container.h - private to the Avro format: what its reader and writer share.
 */
#ifndef MR_FORMAT_AVRO_CONTAINER_H
#define MR_FORMAT_AVRO_CONTAINER_H

#include "enc/avro_schema.h"
#include "ext/codec.h"
#include "ext/format.h"

#define AVRO_SYNC_SIZE 16
/* Of one block, as stored and decompressed. */
#define AVRO_MAX_BLOCK ((int64_t)256 << 20)

/* Codec "none" is a NULL codec. False: Avro has none of that name. */
struct avro_codec {
    const char *name; /* in the file: "null", "deflate", "snappy", "zstandard" */
    const struct mr_codec *codec;
    bool crc; /* snappy: CRC-32 of the decompressed block behind it, big-endian */
};
/* By the registry's name ("none", "zstd") or the file's ("null", "zstandard"). */
enum mr_status avro_find_codec(const struct mr_registry *registry, const char *name,
                               struct avro_codec *out, struct mr_error *err);

/* The schema of the option avroSchema; *out NULL when it is not set (or no row of the table). */
enum mr_status avro_option_schema(const struct mr_options *options, struct mr_runtime *runtime,
                                  struct mr_arena *arena, const struct mr_avro_document **out,
                                  struct mr_error *err);

enum mr_status avro_write_open(const struct mr_format_write *write, struct mr_byte_sink *sink,
                               void **writer, struct mr_error *err);
enum mr_status avro_write(void *writer, struct mr_batch *batch, struct mr_error *err);
int64_t avro_buffered(const void *writer);
int64_t avro_written(const void *writer);
enum mr_status avro_flush(void *writer, struct mr_error *err);
enum mr_status avro_write_finish(void *writer, struct mr_file_statistics *statistics,
                                 struct mr_error *err);
void avro_write_close(void *writer);

enum mr_status avro_probe(const struct mr_format_read *read, struct mr_arena *arena,
                          struct mr_file_info *info, struct mr_error *err);
enum mr_status avro_read_open(const struct mr_format_read *read, const struct mr_file_range *range,
                              void **reader, struct mr_error *err);
enum mr_status avro_read_next(void *reader, struct mr_batch **out, struct mr_error *err);
void avro_read_close(void *reader);

#endif
