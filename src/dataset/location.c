/*
 * location.c - where the files go.
 *
 * `bucket` and `path` are joined with exactly one slash. s3:// and s3a:// name a bucket as well; file:// and plain paths
 * are directories, plain relative ones start at the pipeline file. A bucket is looked up in `bucketMap`, which config/ fills
 * from `defaults.s3.buckets` of the credentials file: a directory there stands in for the bucket.
 */
#include "dataset/location.h"

#include "ext/registry.h"

static const char *without_slashes_before(const char *text)
{
    while (*text == '/')
        text++;
    return text;
}

static size_t without_slashes_behind(const char *text, size_t least)
{
    size_t size = strlen(text);
    while (size > least && text[size - 1] == '/')
        size--;
    return size;
}

/* "s3://bucket/key" or "s3a://...": what is behind the scheme, else NULL. */
static const char *behind_s3_scheme(const char *path)
{
    if (strncmp(path, "s3://", 5) == 0)
        return path + 5;
    if (strncmp(path, "s3a://", 6) == 0)
        return path + 6;
    return NULL;
}

static bool climbs(const char *key)
{
    for (const char *at = key; at; at = strchr(at, '/')) {
        at += *at == '/';
        if (strncmp(at, "..", 2) == 0 && (at[2] == '/' || at[2] == '\0'))
            return true;
    }
    return false;
}

static enum mr_status no_memory(const char *text, struct mr_error *err)
{
    return text ? MR_OK : mr_error_nomem(err);
}

/* A directory as written, made absolute. */
static enum mr_status local_location(const char *path, struct mr_runtime *runtime,
                                     struct mr_arena *arena, struct mr_location *out,
                                     struct mr_error *err)
{
    if (strncmp(path, "file:", 5) == 0) {
        path += 5;
        if (strncmp(path, "//localhost/", 12) == 0)
            path += 11;
        else if (strncmp(path, "//", 2) == 0)
            path += 2;
    }
    int size = (int)without_slashes_behind(path, 1);
    const char *base = runtime->pipeline_dir ? runtime->pipeline_dir : ".";
    out->url = *path == '/' ? mr_arena_printf(arena, "%.*s", size, path)
                            : mr_arena_printf(arena, "%s/%.*s", base, size, path);
    MR_TRY(no_memory(out->url, err));
    out->store = mr_registry_store(runtime->registry, "file");
    if (!out->store)
        return mr_error_internal(err, "the local store is not in this build");
    return MR_OK;
}

static const char *map_bucket(const struct mr_options *options, const char *bucket)
{
    const struct mr_option_value *value = mr_options_get(options, "bucketMap");
    for (int i = 0; value->set && i < value->u.pairs.count; i++) {
        if (strcmp(value->u.pairs.items[i].name, bucket) == 0)
            return value->u.pairs.items[i].text;
    }
    return NULL;
}

static enum mr_status bucket_location(const struct mr_options *options, const char *bucket,
                                      const char *key, struct mr_runtime *runtime,
                                      struct mr_arena *arena, struct mr_location *out,
                                      struct mr_error *err)
{
    const char *option = mr_options_has(options, "bucket") ? "bucket" : "path";
    key = without_slashes_before(key);
    int key_size = (int)without_slashes_behind(key, 0);
    out->text = mr_arena_printf(arena, "s3://%s/%.*s", bucket, key_size, key);
    MR_TRY(no_memory(out->text, err));
    if (*bucket == '\0')
        return mr_options_error(options, option, err, "the name of the bucket is missing");
    if (climbs(key))
        return mr_options_error(options, "path", err, "'..' leads out of the bucket");
    const char *target = map_bucket(options, bucket);
    if (!target && runtime->offline)
        return MR_OK;
    const char *scheme = target ? strstr(target, "://") : NULL;
    if (!target || (scheme && strncmp(target, "file://", 7) != 0)) {
        mr_options_error(options, option, err,
                         "bucket '%s': S3 endpoints are not built in this version", bucket);
        if (err)
            mr_error_hint(err,
                          "map the bucket to a directory in the credentials file: "
                          "\"defaults\": {\"s3\": {\"buckets\": {\"%s\": \"/a/directory\"}}}",
                          bucket);
        return MR_CONFIG;
    }
    const char *path =
        key_size ? mr_arena_printf(arena, "%.*s/%.*s", (int)without_slashes_behind(target, 0),
                                   target, key_size, key)
                 : target;
    MR_TRY(no_memory(path, err));
    return local_location(path, runtime, arena, out, err);
}

enum mr_status mr_locate(const struct mr_options *options, struct mr_runtime *runtime,
                         struct mr_arena *arena, struct mr_location *out, struct mr_error *err)
{
    *out = (struct mr_location){0};
    const char *bucket = mr_options_text(options, "bucket");
    const char *path = mr_options_text(options, "path");
    if (!bucket && (!path || !*path)) {
        mr_error_config(err, "where to write is missing");
        if (err) {
            mr_error_where(err, "%s:%d:%d", options->position.file ? options->position.file : "",
                           options->position.line, options->position.column);
            mr_error_hint(err, "give path, or bucket and path");
        }
        return MR_CONFIG;
    }
    const char *s3 = path ? behind_s3_scheme(path) : NULL;
    if (bucket && (s3 || (path && strstr(path, "://"))))
        return mr_options_error(options, "path", err,
                                "a path with a scheme names its bucket itself: leave out bucket");
    if (bucket)
        return bucket_location(options, bucket, path ? path : "", runtime, arena, out, err);
    if (s3) {
        const char *slash = strchr(s3, '/');
        const char *name = mr_arena_strndup(arena, s3, slash ? (size_t)(slash - s3) : strlen(s3));
        MR_TRY(no_memory(name, err));
        return bucket_location(options, name, slash ? slash : "", runtime, arena, out, err);
    }
    if (strstr(path, "://") && strncmp(path, "file://", 7) != 0)
        return mr_options_error(options, "path", err, "'%s' has no known scheme: s3, s3a or file",
                                path);
    out->text = path;
    return local_location(path, runtime, arena, out, err);
}
