/*
 * object.c - relative paths lie below the table, absolute ones (shallow clones, vectors of storage
 * 'p') are opened through the store of their scheme. An absolute path that leads into the table is
 * taken as relative: it spares a connection.
 */
#include "connect/delta/object.h"

#include "connect/delta/private.h"
#include "ext/registry.h"

/* What is behind the table's URL and a slash in an absolute path, else NULL. */
static const char *below_table(const struct delta_table *table, const char *path)
{
    const char *url = table->url;
    if (strncmp(path, "file://", 7) == 0 && url[0] == '/')
        path += 7;
    size_t size = strlen(url);
    while (size > 1 && url[size - 1] == '/')
        size--;
    return strncmp(path, url, size) == 0 && path[size] == '/' ? path + size + 1 : NULL;
}

static enum mr_status open_elsewhere(const struct delta_table *table, const char *path,
                                     struct delta_object *out, struct mr_error *err)
{
    const char *authority = strstr(path, "://");
    const char *slash = strrchr(path, '/');
    if (!authority || slash < authority + 3)
        return mr_error_data(err, MR_SOURCE, "%s: the path %.200s names no file", table->text,
                             path);
    out->text = mr_strdup(path);
    if (!out->text)
        return mr_error_nomem(err);
    out->text[authority - path] = '\0';
    out->store = mr_registry_store(table->runtime->registry, out->text);
    if (!out->store)
        return mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG,
                            "%s: the path %.200s has a scheme that this build does not have",
                            table->text, path);
    out->text[authority - path] = ':';
    out->text[slash - path] = '\0';
    out->path = out->text + (slash - path) + 1;
    const char *root = strcmp(out->store->scheme, "file") == 0 ? out->text + 7 : out->text;
    MR_TRY(out->store->open(*root ? root : "/", table->options, table->runtime, &out->own, err));
    out->handle = out->own;
    return MR_OK;
}

enum mr_status delta_object_open(const struct delta_table *table, const char *path,
                                 struct delta_object *out, struct mr_error *err)
{
    *out = (struct delta_object){.store = table->store, .handle = table->handle, .path = path};
    if (!delta_path_is_absolute(path))
        return MR_OK;
    const char *below = below_table(table, path);
    if (below) {
        out->path = below;
        return MR_OK;
    }
    enum mr_status status = open_elsewhere(table, path, out, err);
    if (status != MR_OK)
        delta_object_close(out);
    return status;
}

void delta_object_close(struct delta_object *object)
{
    if (object->own)
        object->store->close(object->own);
    mr_free(object->text);
    object->own = NULL;
    object->text = NULL;
}
