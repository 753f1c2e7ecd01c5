/*
 * maintain.h - what is done to a Delta table besides loading it: compaction, Z-ordering, deletion of
 * rows, removal of files that nobody needs, and what it says of itself.
 */
#ifndef MR_CONNECT_DELTA_MAINTAIN_H
#define MR_CONNECT_DELTA_MAINTAIN_H

#include "connect/delta/commit.h"

struct delta_optimize {
    const char *where; /* names partition columns only; NULL = all of the table */
    int nzorder;
    const char *const *zorder; /* columns; none = compaction */
    int64_t target;            /* bytes of a file on disk, 0 = delta.targetFileSize ... */
    int64_t fallback;          /* ... and without that this, 0 = 1 GiB */
    /*
     * Above 1: partitions with fewer small files are left alone, and so is a file that is larger than all smaller ones together. So each row is written again
     * as often as its file doubles, and not with every compaction.
     */
    int least;
    int nonly;
    const struct delta_file *only; /* no other files than these; NULL = all */
    const char *cause;             /* operationParameters.auto: "true" for autoCompact, or NULL */
};

struct delta_optimized {
    int64_t version; /* -1 = there was nothing to do */
    int64_t partitions;
    int64_t files_added;
    int64_t bytes_added;
    int64_t files_removed;
    int64_t bytes_removed;
    int waiting; /* small files of the partition that has most, which `least` left alone */
};

/* One commit, dataChange false; also the plan of it (`dry`: counts what would be removed only). */
enum mr_status delta_optimize(const struct delta_table *table,
                              const struct delta_optimize *optimize, bool dry,
                              struct delta_optimized *out, struct mr_error *err);

struct delta_vacuum {
    double retain_hours;
    bool dry_run;
    bool check_retention; /* refuse less than the table's deletedFileRetentionDuration */
};

struct delta_vacuumed {
    int64_t files;
    int64_t bytes;
};

/* `each` (may be NULL) is told of every file, before it is removed. */
enum mr_status delta_vacuum(const struct delta_table *table, const struct delta_vacuum *vacuum,
                            void (*each)(void *context, const char *path, int64_t size),
                            void *context, struct delta_vacuumed *out, struct mr_error *err);

struct delta_deletion {
    int64_t version; /* -1 = no row matched */
    int64_t rows;
    int64_t files_removed;
    int64_t files_added;
};

enum mr_status delta_delete(const struct delta_table *table, const char *where,
                            struct delta_deletion *out, struct mr_error *err);

/* JSON objects: the table as it is; its commits, newest first (limit 0 = all). */
enum mr_status delta_describe(const struct delta_table *table, struct mr_bytes *out,
                              struct mr_error *err);
enum mr_status delta_history(const struct delta_table *table, int limit, struct mr_bytes *out,
                             struct mr_error *err);

/* A statement of the maintain method sql, taken apart. Texts live in the arena. */
struct delta_statement {
    enum { DELTA_STATEMENT_OPTIMIZE, DELTA_STATEMENT_VACUUM, DELTA_STATEMENT_DELETE } kind;
    const char *path;
    const char *where; /* or NULL */
    int nzorder;
    const char **zorder;
    double retain_hours; /* -1 = not given */
    bool dry_run;
};
/* MR_CONFIG with the character where it goes wrong. */
enum mr_status delta_statement_parse(const char *text, struct mr_arena *arena,
                                     struct delta_statement *out, struct mr_error *err);

/*
 * New files in the place of others, for one commit: rows go in, then the files are made visible and
 * committed together with the removal of the old ones.
 */
struct delta_replace;
enum mr_status delta_replace_new(const struct delta_table *table,
                                 const struct delta_snapshot *snapshot, int64_t target,
                                 struct delta_replace **out, struct mr_error *err);
/* Batches of snapshot->metadata.schema. */
enum mr_status delta_replace_add(struct delta_replace *replace, struct mr_batch *batch,
                                 struct mr_error *err);
/* How others write files for it, and their files (as delta_writer_finish gives them). */
const struct delta_writer_options *delta_replace_options(const struct delta_replace *replace);
enum mr_status delta_replace_take(struct delta_replace *replace, struct mr_slice written,
                                  struct mr_error *err);
/* Ends the open files: rows that come now go into others. */
enum mr_status delta_replace_seal(struct delta_replace *replace, struct mr_error *err);
/*
 * `change` says what else the commit does; its adds are set here, and come back in `change` for the
 * caller's report, in `arena`.
 */
enum mr_status delta_replace_commit(struct delta_replace *replace, struct delta_change *change,
                                    struct mr_arena *arena, struct delta_outcome *outcome,
                                    struct mr_error *err);
/* Discards what is not committed. NULL is allowed. */
void delta_replace_free(struct delta_replace *replace);

#endif
