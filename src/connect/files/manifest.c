/*
 * manifest.c - `_manifest.json`, the list of the files that a target consists of, replaced as a whole by each commit.
 *
 * {"version": 1, "files": [
 *   {"path": "day=2024-05-01/part-00000-...-00000.snappy.parquet", "size": 1048576, "rows": 40960},
 *   ...]}
 *
 * Paths are relative to the target, in byte order; `rows` is missing for files that were there before the first manifest.
 * The object is written when all files of a commit are visible and before those that it replaces go: who reads the list
 * first and then the files sees all of a run or nothing of it. The leading underscore hides it from listings.
 *
 * The old list is read at commit and not kept in the token: the union of what is listed with what is published is the same
 * however often it is made, and a token would otherwise grow with the target instead of with the run.
 */
#include "connect/files/manifest.h"

#include "base/map.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define MAXIMUM_SIZE ((int64_t)1 << 30)

struct entry {
    const char *path;
    int64_t size;
    int64_t rows; /* -1 = not known */
    bool removed;
};

struct list {
    struct mr_arena arena; /* paths of before */
    struct mr_map by_path; /* -> entry */
};

static enum mr_status add(struct list *list, const char *path, int64_t size, int64_t rows,
                          struct mr_error *err)
{
    struct entry *entry = mr_map_get(&list->by_path, mr_slice_of(path));
    if (!entry) {
        entry = mr_arena_alloc(&list->arena, sizeof *entry);
        const char *copy = mr_arena_strdup(&list->arena, path);
        if (!entry || !copy)
            return mr_error_nomem(err);
        *entry = (struct entry){.path = copy};
        MR_TRY(mr_map_put(&list->by_path, mr_slice_of(copy), entry, err));
    } else if (rows < 0) {
        rows = entry->rows;
    }
    entry->size = size;
    entry->rows = rows;
    return MR_OK;
}

/* ---- what was there ---- */

static enum mr_status not_ours(const char *why, struct mr_error *err)
{
    mr_error_set(err, MR_SINK, MR_CLASS_CONFIG,
                 "%s at the target is not a manifest that this version can extend: %s",
                 FILES_MANIFEST, why);
    if (err)
        mr_error_hint(err, "remove it, and the next run lists the files that it finds");
    return MR_SINK;
}

static enum mr_status take_entries(struct list *list, const json_t *root, struct mr_error *err)
{
    const json_t *files = json_object_get(root, "files");
    if (json_integer_value(json_object_get(root, "version")) != 1 || !json_is_array(files))
        return not_ours("version 1 with a list of files is expected", err);
    for (size_t i = 0; i < json_array_size(files); i++) {
        const json_t *file = json_array_get(files, i);
        const char *path = json_string_value(json_object_get(file, "path"));
        const json_t *size = json_object_get(file, "size");
        const json_t *rows = json_object_get(file, "rows");
        if (!path || !json_is_integer(size))
            return not_ours("a file without path and size", err);
        MR_TRY(add(list, path, json_integer_value(size),
                   json_is_integer(rows) ? json_integer_value(rows) : -1, err));
    }
    return MR_OK;
}

static enum mr_status parse(struct list *list, const char *text, size_t size, struct mr_error *err)
{
    json_error_t problem;
    json_t *root = json_loadb(text, size, 0, &problem);
    if (!root)
        return not_ours(problem.text, err);
    enum mr_status status = take_entries(list, root, err);
    json_decref(root);
    return status;
}

/* *found false when there is no manifest. */
static enum mr_status load(const struct mr_store *store, void *handle, struct list *list,
                           bool *found, struct mr_error *err)
{
    struct mr_store_entry entry;
    MR_TRY(store->stat(handle, FILES_MANIFEST, &entry, found, err));
    if (!*found)
        return MR_OK;
    if (entry.size > MAXIMUM_SIZE)
        return not_ours("it is larger than 1 GB", err);
    size_t got = 0;
    char *text = mr_alloc((size_t)entry.size + 1);
    if (!text)
        return mr_error_nomem(err);
    enum mr_status status =
        store->read(handle, FILES_MANIFEST, 0, text, (size_t)entry.size, &got, err);
    if (status == MR_OK)
        status = parse(list, text, got, err);
    mr_free(text);
    return status;
}

static enum mr_status listed(void *context, const struct mr_store_entry *entry,
                             struct mr_error *err)
{
    return add(context, entry->path, entry->size, -1, err);
}

static void list_init(struct list *list)
{
    mr_arena_init(&list->arena, NULL);
    mr_map_init(&list->by_path, false);
}

static void list_reset(struct list *list)
{
    mr_map_reset(&list->by_path);
    mr_arena_reset(&list->arena);
}

enum mr_status files_manifest_check(const struct mr_store *store, void *handle,
                                    struct mr_error *err)
{
    struct list list;
    bool found;
    list_init(&list);
    enum mr_status status = load(store, handle, &list, &found, err);
    list_reset(&list);
    return status;
}

/* ---- what is there now ---- */

static enum mr_status collect(const struct mr_store *store, void *handle,
                              const struct files_token *token, struct list *list,
                              struct mr_error *err)
{
    if (token->manifest == FILES_MANIFEST_ADDS) {
        bool found;
        MR_TRY(load(store, handle, list, &found, err));
        if (!found)
            MR_TRY(store->list(handle, "", NULL, false, listed, list, err));
    }
    for (int i = 0; i < token->nremove; i++) {
        struct entry *entry = mr_map_get(&list->by_path, mr_slice_of(token->remove[i]));
        if (entry)
            entry->removed = true;
    }
    for (int i = 0; i < token->npublish; i++)
        MR_TRY(add(list, token->publish[i].path, token->publish[i].bytes, token->publish[i].rows,
                   err));
    return MR_OK;
}

static int by_path(const void *a, const void *b)
{
    return strcmp((*(const struct entry *const *)a)->path, (*(const struct entry *const *)b)->path);
}

static enum mr_status sort(struct list *list, const struct entry ***out, size_t *count,
                           struct mr_error *err)
{
    const struct entry **entries =
        mr_arena_calloc(&list->arena, list->by_path.count + 1, sizeof *entries);
    if (!entries)
        return mr_error_nomem(err);
    *count = 0;
    for (size_t i = 0; i < list->by_path.count; i++) {
        const struct entry *entry = list->by_path.entries[i].value;
        if (!entry->removed)
            entries[(*count)++] = entry;
    }
    qsort(entries, *count, sizeof *entries, by_path);
    *out = entries;
    return MR_OK;
}

static void print(const struct entry *const *entries, size_t count, struct mr_bytes *out)
{
    mr_bytes_text(out, "{\"version\": 1, \"files\": [");
    for (size_t i = 0; i < count; i++) {
        mr_bytes_text(out, i ? ",\n  {\"path\": " : "\n  {\"path\": ");
        mr_bytes_json_string(out, entries[i]->path, strlen(entries[i]->path));
        mr_bytes_printf(out, ", \"size\": %lld", (long long)entries[i]->size);
        if (entries[i]->rows >= 0)
            mr_bytes_printf(out, ", \"rows\": %lld", (long long)entries[i]->rows);
        mr_bytes_text(out, "}");
    }
    mr_bytes_text(out, "]}\n");
}

enum mr_status files_manifest_write(const struct mr_store *store, void *handle,
                                    const struct files_token *token, struct mr_error *err)
{
    struct list list;
    struct mr_bytes text;
    const struct entry **entries = NULL;
    size_t count = 0;
    enum mr_status status;
    list_init(&list);
    mr_bytes_init(&text, (size_t)MAXIMUM_SIZE);
    MR_TRY_OUT(collect(store, handle, token, &list, err));
    MR_TRY_OUT(sort(&list, &entries, &count, err));
    print(entries, count, &text);
    MR_TRY_OUT(mr_bytes_status(&text, err));
    status = store->put(handle, FILES_MANIFEST, (struct mr_slice){text.data, text.size}, err);
out:
    mr_bytes_reset(&text);
    list_reset(&list);
    return status;
}
