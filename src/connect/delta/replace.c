/*
 * replace.c - new data files in the place of old ones.
 *
 * Rows go through the table's own writer. Its files are staged like those of a load, published when
 * all rows are in, and become part of the table by one commit. A failure discards them, published or not, where it is certain
 * that no version names them: a race that was lost, not a commit without an answer. What that leaves, or a kill, a vacuum removes.
 */
#include "connect/delta/maintain.h"

#include "base/failpoint.h"
#include "base/hash.h"
#include "base/time.h"

#include <limits.h>
#include <stdio.h>

struct part {
    struct mr_bytes written; /* of delta_writer_finish */
    struct part *next;
};

struct delta_replace {
    const struct delta_table *table;
    const struct delta_snapshot *snapshot;
    struct delta_writer_options options;
    char tag[17];
    char identity[17];
    struct delta_writer *writer; /* NULL between sealing and the next row */
    struct part *first, **last;
    bool published; /* some are, perhaps */
    bool committed; /* or it may be */
};

/* Different in every run, and for every replace inside one. */
static void name(struct delta_replace *self, const struct delta_table *table)
{
    const char *run = table->runtime->run_id ? table->runtime->run_id : "";
    uint64_t hash = mr_hash64(run, strlen(run));
    hash = mr_hash_combine(hash, mr_hash64(table->text, strlen(table->text)));
    snprintf(self->tag, sizeof self->tag, "%016llx", (unsigned long long)hash);
    hash = mr_hash_combine(hash, (uint64_t)mr_clock_wall_micros());
    hash = mr_hash_combine(hash, (uint64_t)(uintptr_t)self);
    snprintf(self->identity, sizeof self->identity, "%016llx", (unsigned long long)hash);
}

enum mr_status delta_replace_new(const struct delta_table *table,
                                 const struct delta_snapshot *snapshot, int64_t target,
                                 struct delta_replace **out, struct mr_error *err)
{
    struct delta_replace *self = mr_calloc(1, sizeof *self);
    if (!self)
        return mr_error_nomem(err);
    self->table = table;
    self->snapshot = snapshot;
    self->last = &self->first;
    name(self, table);
    self->options = (struct delta_writer_options){
        .tag = self->tag,
        .identity = self->identity,
        .target_file_size = target,
        .level = INT_MIN,
    };
    *out = self;
    return MR_OK;
}

enum mr_status delta_replace_add(struct delta_replace *self, struct mr_batch *batch,
                                 struct mr_error *err)
{
    if (!self->writer)
        MR_TRY(delta_writer_new(self->table, &self->snapshot->metadata, &self->options,
                                &self->writer, err));
    mr_progressed(self->table->runtime);
    return delta_writer_add(self->writer, batch, err);
}

const struct delta_writer_options *delta_replace_options(const struct delta_replace *self)
{
    return &self->options;
}

enum mr_status delta_replace_take(struct delta_replace *self, struct mr_slice written,
                                  struct mr_error *err)
{
    struct part *part = mr_calloc(1, sizeof *part);
    if (!part)
        return mr_error_nomem(err);
    mr_bytes_init(&part->written, (size_t)1 << 30);
    *self->last = part;
    self->last = &part->next;
    mr_bytes_append(&part->written, written.data, written.size);
    return mr_bytes_status(&part->written, err);
}

enum mr_status delta_replace_seal(struct delta_replace *self, struct mr_error *err)
{
    if (!self->writer)
        return MR_OK;
    struct part *part = mr_calloc(1, sizeof *part);
    if (!part)
        return mr_error_nomem(err);
    mr_bytes_init(&part->written, (size_t)1 << 30);
    *self->last = part;
    self->last = &part->next;
    MR_TRY(delta_writer_finish(self->writer, &part->written, err));
    delta_writer_free(self->writer);
    self->writer = NULL;
    self->options.task++;
    return mr_bytes_status(&part->written, err);
}

static enum mr_status read_parts(const struct delta_replace *self, struct mr_arena *arena,
                                 struct delta_written **out, int *count, struct mr_error *err)
{
    int n = 0, i = 0;
    for (const struct part *part = self->first; part; part = part->next)
        n++;
    *out = mr_arena_calloc(arena, (size_t)n + 1, sizeof **out);
    if (!*out)
        return mr_error_nomem(err);
    for (const struct part *part = self->first; part; part = part->next, i++)
        MR_TRY(delta_written_read((struct mr_slice){part->written.data, part->written.size}, arena,
                                  &(*out)[i], err));
    *count = n;
    return MR_OK;
}

static enum mr_status publish(const struct delta_replace *self, const struct delta_written *parts,
                              int count, struct mr_error *err)
{
    const struct mr_store *store = self->table->store;
    for (int i = 0; i < count; i++)
        for (int k = 0; k < parts[i].count; k++)
            MR_TRY(store->publish(self->table->handle, parts[i].tickets[k], err));
    return store->sync(self->table->handle, err);
}

enum mr_status delta_replace_commit(struct delta_replace *self, struct delta_change *change,
                                    struct mr_arena *arena, struct delta_outcome *outcome,
                                    struct mr_error *err)
{
    struct delta_written *parts;
    int nparts, total = 0;
    MR_TRY(delta_replace_seal(self, err));
    MR_TRY(read_parts(self, arena, &parts, &nparts, err));
    for (int i = 0; i < nparts; i++)
        total += parts[i].count;
    struct delta_file *adds = mr_arena_calloc(arena, (size_t)total + 1, sizeof *adds);
    if (!adds)
        return mr_error_nomem(err);
    total = 0;
    for (int i = 0; i < nparts; i++)
        for (int k = 0; k < parts[i].count; k++) {
            adds[total] = parts[i].files[k];
            adds[total++].data_change = change->data_change;
        }
    change->adds = adds;
    change->nadds = total;
    MR_TRY(MR_FAILPOINT("delta.replace.before", err));
    self->published = true;
    MR_TRY(publish(self, parts, nparts, err));
    MR_TRY(MR_FAILPOINT("delta.replace.after", err));
    enum mr_status status = delta_commit_write(self->table, self->snapshot, change, outcome, err);
    self->committed = status == MR_OK || outcome->uncertain;
    return status;
}

/* Nobody else uses the names. What cannot be removed is left for a vacuum. */
static void discard(const struct delta_replace *self)
{
    const struct mr_store *store = self->table->store;
    void *handle = self->table->handle;
    struct mr_arena arena;
    struct delta_written *parts;
    int count;
    mr_arena_init(&arena, NULL);
    if (read_parts(self, &arena, &parts, &count, NULL) == MR_OK)
        for (int i = 0; i < count; i++)
            for (int k = 0; k < parts[i].count; k++) {
                (void)store->discard(handle, parts[i].tickets[k], NULL);
                if (self->published)
                    (void)store->remove(handle, parts[i].files[k].path, NULL);
            }
    mr_arena_reset(&arena);
}

void delta_replace_free(struct delta_replace *self)
{
    if (!self)
        return;
    delta_writer_free(self->writer);
    if (!self->committed)
        discard(self);
    while (self->first) {
        struct part *part = self->first;
        self->first = part->next;
        mr_bytes_reset(&part->written);
        mr_free(part);
    }
    mr_free(self);
}
