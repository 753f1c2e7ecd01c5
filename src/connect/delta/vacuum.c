/*
 * vacuum.c - removes files that no version within the retention time needs.
 *
 * Kept: what live files and unexpired tombstones name (deletion vectors too), everything younger than
 * the retention time (a writer may be about to name it), the log, and names that begin with '_' or
 * '.', except directories column=value, _change_data and _delta_index. Staged files of dead runs of
 * ours (".name.inprogress-tag") go like data files. Only paths below the table are ever removed.
 *
 * A path of the log that is absolute may lead into the table by a way that cannot be told from its
 * text (another scheme, a link), so whatever has the name of its file is kept; names are unique.
 */
#include "connect/delta/maintain.h"

#include "base/map.h"
#include "base/time.h"
#include "connect/delta/maintain_log.h"
#include "connect/delta/private.h"
#include "connect/delta/vector.h"

#include <stdlib.h>

struct garbage {
    const char *path;
    const struct garbage *next;
};

struct vacuum {
    const struct delta_table *table;
    const struct delta_vacuum *request;
    struct mr_arena arena;
    struct mr_map keep;  /* relative paths */
    struct mr_map names; /* last parts of paths that are not plainly below the table */
    int64_t before;      /* microseconds: younger files stay */
    const struct garbage *garbage;
    void (*each)(void *context, const char *path, int64_t size);
    void *context;
    struct delta_vacuumed *out;
};

static double retention_hours(const struct delta_snapshot *snapshot)
{
    return (double)delta_property_millis(&snapshot->metadata, "delta.deletedFileRetentionDuration",
                                         INT64_C(168) * 3600 * 1000) /
           3.6e6;
}

static enum mr_status check_retention(const struct vacuum *self,
                                      const struct delta_snapshot *snapshot, struct mr_error *err)
{
    double least = retention_hours(snapshot);
    if (!self->request->check_retention || self->request->retain_hours >= least)
        return MR_OK;
    mr_error_config(err, "%g hours is shorter than the table's retention of %g hours",
                    self->request->retain_hours, least);
    mr_error_hint(err, "readers of older versions and writers that are not done lose files; "
                       "checkRetention false does it all the same");
    return MR_CONFIG;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static enum mr_status keep_path(struct vacuum *self, const char *path, struct mr_error *err)
{
    if (!path)
        return mr_error_data(err, MR_SINK, "%s: a deletion vector of the log names no file",
                             self->table->text);
    if (delta_path_is_absolute(path) || path[0] == '.' || strstr(path, "/.") || strstr(path, "//"))
        MR_TRY(mr_map_put(&self->names, mr_slice_of(last_part(path)), self, err));
    return mr_map_put(&self->keep, mr_slice_of(path), self, err);
}

static enum mr_status keep_file(struct vacuum *self, const struct delta_file *file,
                                struct mr_error *err)
{
    MR_TRY(keep_path(self, file->path, err));
    if (!file->vector || file->vector->storage == 'i')
        return MR_OK;
    return keep_path(self, delta_vector_path(file->vector, self->table->url, &self->arena), err);
}

static enum mr_status keep_needed(struct vacuum *self, const struct delta_snapshot *snapshot,
                                  struct mr_error *err)
{
    for (int i = 0; i < snapshot->nfiles; i++)
        MR_TRY(keep_file(self, &snapshot->files[i], err));
    for (int i = 0; i < snapshot->ntombstones; i++) {
        const struct delta_file *file = &snapshot->tombstones[i];
        if (file->deleted_millis < 0 || file->deleted_millis * 1000 >= self->before)
            MR_TRY(keep_file(self, file, err));
    }
    return MR_OK;
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* Is some part of the path one that a vacuum never looks at? */
static bool is_protected(const char *path)
{
    for (const char *at = path; at; at = strchr(at, '/')) {
        at += *at == '/';
        size_t size = strcspn(at, "/");
        bool hidden = *at == '_' || *at == '.';
        bool known =
            memchr(at, '=', size) || begins(at, "_change_data/") || begins(at, "_delta_index/");
        bool ours = *at == '.' && at[size] == '\0' && strstr(at, ".inprogress-");
        if (hidden && !known && !ours)
            return true;
    }
    return false;
}

static enum mr_status visit(void *context, const struct mr_store_entry *entry, struct mr_error *err)
{
    struct vacuum *self = context;
    if (entry->modified_micros >= self->before || is_protected(entry->path) ||
        mr_map_get(&self->keep, mr_slice_of(entry->path)) ||
        mr_map_get(&self->names, mr_slice_of(last_part(entry->path))))
        return MR_OK;
    self->out->files++;
    self->out->bytes += entry->size;
    if (self->each)
        self->each(self->context, entry->path, entry->size);
    /* A listing may not like its objects to go away meanwhile: they are removed afterwards. */
    const char *path = mr_arena_strdup(&self->arena, entry->path);
    struct garbage *garbage = mr_arena_alloc(&self->arena, sizeof *garbage);
    if (!path || !garbage)
        return mr_error_nomem(err);
    *garbage = (struct garbage){path, self->garbage};
    self->garbage = garbage;
    return MR_OK;
}

static enum mr_status run(struct vacuum *self, struct mr_error *err)
{
    const struct delta_asof latest = {-1, INT64_MIN, true};
    const struct delta_snapshot *snapshot;
    const struct mr_store *store = self->table->store;
    MR_TRY(delta_snapshot_read(self->table, &latest, &self->arena, &snapshot, err));
    if (!snapshot)
        return mr_error_set(err, MR_SINK, MR_CLASS_CONFIG, "%s is no Delta table",
                            self->table->text);
    MR_TRY(delta_check_writable(snapshot, DELTA_KIND_REORGANISE, self->table->text, err));
    MR_TRY(check_retention(self, snapshot, err));
    self->before = mr_clock_wall_micros() - (int64_t)(self->request->retain_hours * 3600 * 1e6);
    MR_TRY(keep_needed(self, snapshot, err));
    MR_TRY(store->list(self->table->handle, "", NULL, true, visit, self, err));
    for (const struct garbage *at = self->garbage; at && !self->request->dry_run; at = at->next)
        MR_TRY(store->remove(self->table->handle, at->path, err));
    return self->request->dry_run ? MR_OK : store->sync(self->table->handle, err);
}

enum mr_status delta_vacuum(const struct delta_table *table, const struct delta_vacuum *request,
                            void (*each)(void *context, const char *path, int64_t size),
                            void *context, struct delta_vacuumed *out, struct mr_error *err)
{
    struct vacuum self = {
        .table = table, .request = request, .each = each, .context = context, .out = out};
    *out = (struct delta_vacuumed){0};
    mr_arena_init(&self.arena, NULL);
    mr_map_init(&self.keep, false);
    mr_map_init(&self.names, false);
    enum mr_status status = run(&self, err);
    mr_map_reset(&self.keep);
    mr_map_reset(&self.names);
    mr_arena_reset(&self.arena);
    return status;
}
