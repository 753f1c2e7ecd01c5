/*
 * read.h - what the parts of the files source share.
 */
#ifndef MR_CONNECT_FILES_READ_H
#define MR_CONNECT_FILES_READ_H

#include "base/tz.h"
#include "col/builder.h"
#include "dataset/location.h"
#include "ext/format.h"
#include "ext/prune.h"
#include "ext/source.h"

extern const struct mr_option files_read_options[];

/* Where the files are. */
struct files_place {
    const char *url;             /* the directory that the store is opened on */
    const char *text;            /* the same for people, without a slash at its end */
    const char *prefix;          /* the directory or file below it; "" = all, also with patterns */
    const char *const *patterns; /* over paths below `url`; NULL = everything below `prefix` */
    int npatterns;
};

/* A file that was found. Paths are below place.url. */
struct files_entry {
    const char *path;
    int64_t size;
    int64_t modified_micros;
    const char *const *values; /* texts of the partition columns, NULL = NULL */
    int64_t rows;              /* -1 = unknown */
    bool one_range;            /* cannot be cut */
    bool skipped;              /* known, or partition values rule it out */
    bool known;                /* incremental: an earlier run has read it */
};

struct files_partition {
    const char *name;
    const struct mr_type *type;
};

struct files_incremental;

/* A bound source. What bind and offer make is in the plan's arena. */
struct files_source {
    const struct mr_options *options;
    struct mr_arena *arena;
    struct mr_location location;
    struct files_place place;
    const struct mr_format *format;
    enum mr_on_error on_error;
    bool quarantine;
    struct mr_tz *tz; /* the session's; NULL = UTC */

    struct files_entry *entries;
    int nentries;
    struct files_partition *partitions;
    int npartitions;

    struct files_incremental *incremental; /* or NULL */

    const struct mr_schema *side;  /* of quarantined records, or NULL */
    const struct mr_schema *given; /* option `schema`, or NULL */
    const struct mr_schema *all;   /* everything that the source has */
    int *all_from;                 /* >= 0: a column of the files; else ~partition */

    /* After offer. */
    const struct mr_schema *schema;              /* what comes out */
    int *from;                                   /* of each: a column of `read`, or ~partition */
    const struct mr_schema *read;                /* columns of the files that are read */
    const struct mr_predicate **file_predicates; /* over `read` */
    int nfile_predicates;
    int64_t limit; /* rows of a split, -1 = all */
    uint64_t predicate_hash;

    /* narrow: over `schema`, and over `read`; in an arena of its own */
    struct mr_arena narrow_arena;
    const struct mr_predicate *narrowed;
    const struct mr_predicate *narrowed_file;
};

/* listing.c */
enum mr_status files_find_place(const struct mr_location *location, struct mr_arena *arena,
                                struct files_place *out, struct mr_error *err);
/* Entries and partition columns (without types). */
enum mr_status files_list(struct files_source *source, struct mr_runtime *runtime,
                          struct mr_error *err);
/* "s3://bucket/a/b.csv": the name of a file for people. */
const char *files_name(const struct files_source *source, struct mr_arena *arena, const char *path);

/* partitions.c */
/* Columns of the directories of a path below `prefix`, into entry->values. */
enum mr_status files_read_partitions(struct files_source *source, struct files_entry *entry,
                                     const struct files_entry *before, struct mr_error *err);
/* Types (by `given` or guessed); MR_SOURCE if a value is not of its type. */
enum mr_status files_type_partitions(struct files_source *source, struct mr_error *err);
bool files_partition_value(const struct files_source *source, const struct files_entry *entry,
                           int partition, struct mr_value *out);
/* The partition values of a path, which need not be of the listing. In `arena`. */
enum mr_status files_path_values(const struct files_source *source, const char *path,
                                 struct mr_arena *arena, const char *const **out,
                                 struct mr_error *err);

/* probe.c: what the files say of themselves. */
struct files_probe {
    int entry; /* of source->entries */
    struct mr_file_info info;
};
enum mr_status files_probe(struct files_source *source, struct mr_runtime *runtime,
                           struct files_probe **out, int *count, struct mr_error *err);
bool files_is_text(const struct mr_format *format);

/* schema_union.c: one schema for all that were probed. */
struct files_union_part {
    const char *name; /* of the file, for messages */
    const struct mr_schema *schema;
    bool inferred;
    bool exact;  /* its format reads by exact names: those that differ by case are two columns */
    bool checks; /* its reader refuses a bigint that no double holds exactly */
};
/* `notes` (may be NULL) gets a line for each column that was widened. */
enum mr_status files_schema_union(struct mr_arena *arena, const struct files_union_part *parts,
                                  int nparts, const struct mr_schema **out,
                                  void (*note)(void *context, const char *line), void *context,
                                  struct mr_error *err);

/* prune_files.c */
/* Marks entries that the predicates (over `all`) rule out; answers each. */
void files_prune(struct files_source *source, struct mr_source_offer *offer);
bool files_rules_out(const struct files_source *source, const struct mr_predicate *predicate,
                     const int *from, const char *const *values);
/*
 * The predicate over columns of `read`; NULL when it needs others. Parts of an AND may be left out. `map[i]` = column of
 * `read`, or -1.
 */
enum mr_status files_file_predicate(const struct mr_predicate *predicate, const int *map,
                                    struct mr_arena *arena, const struct mr_predicate **out,
                                    struct mr_error *err);
enum mr_status files_copy_predicate(const struct mr_predicate *predicate, struct mr_arena *arena,
                                    const struct mr_predicate **out, struct mr_error *err);
uint64_t files_hash_predicate(const struct mr_predicate *predicate, uint64_t seed);

/* splits.c */
enum mr_status files_splits(void *state, struct mr_runtime *runtime, struct mr_arena *arena,
                            struct mr_split_list *out, struct mr_error *err);

/* read_token.c: 01 | pieces: path, size, modified, offset, length */
struct files_piece {
    struct mr_slice path;
    int64_t size;
    int64_t modified_micros;
    int64_t offset;
    int64_t length;
};
void files_piece_write(const struct files_piece *piece, struct mr_bytes *out);
void files_split_begin(struct mr_bytes *out, int npieces);
/* Pieces and their paths are in the arena; MR_INTERNAL for what is no token. */
enum mr_status files_split_read(struct mr_slice token, struct mr_arena *arena,
                                struct files_piece **out, int *count, struct mr_error *err);
struct files_position {
    uint64_t of; /* hash of the token and of what was asked for */
    int piece;
    int64_t rows;     /* delivered of the piece */
    int64_t rejected; /* records of the piece that were delivered as rejected */
    int64_t total;    /* of the split */
};
void files_position_write(const struct files_position *position, struct mr_bytes *out);
enum mr_status files_position_read(struct mr_slice bytes, uint64_t of, struct files_position *out,
                                   struct mr_error *err);

/* rejects.c: records that cannot be read, on their way to the quarantine */
struct files_rejects {
    struct mr_runtime *runtime;
    struct mr_builder columns[6];
    int64_t rows;
    enum mr_status status; /* the first failure: `bad` cannot return one */
    struct mr_error err;
};
const struct mr_schema *files_rejects_schema(struct mr_arena *arena);
enum mr_status files_rejects_init(struct files_rejects *rejects, const struct mr_schema *schema,
                                  struct mr_runtime *runtime, struct mr_error *err);
void files_rejects_reset(struct files_rejects *rejects);
void files_rejects_add(struct files_rejects *rejects, const char *file,
                       const struct mr_bad_row *row);
/* What was added since; there is something. */
enum mr_status files_rejects_finish(struct files_rejects *rejects, const struct mr_schema *schema,
                                    struct mr_batch **out, struct mr_error *err);

/* read.c */
enum mr_status files_reader_open(void *state, struct mr_runtime *runtime, struct mr_slice split,
                                 struct mr_slice from, void **reader, struct mr_error *err);
enum mr_status files_reader_next(void *reader, struct mr_item *out, struct mr_error *err);
enum mr_status files_reader_position(void *reader, struct mr_bytes *out, struct mr_error *err);
void files_reader_close(void *reader);

#endif
