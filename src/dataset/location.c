/*
 * location.c - where the files are.
 *
 * `bucket` and `path` are joined with exactly one slash. s3:// and s3a:// name a bucket as well; file:// and plain paths
 * are directories, plain relative ones start at the pipeline file. A bucket is looked up in `bucketMap`, which config/ fills
 * from `defaults.s3.buckets` of the credentials file: a directory there stands in for the bucket, an endpoint's URL or
 * nothing leaves it to the S3 store. Which endpoint that is, the store finds out itself from the same options: putting it
 * into the URL would make the tokens of a commit carry it, and a run that is finished elsewhere may reach the bucket by
 * another name.
 */
#include "dataset/location.h"

#include "ext/registry.h"

#include <unistd.h>

struct place {
    const struct mr_options *options; /* or NULL */
    bool named;                       /* given by the options bucket and path */
    struct mr_runtime *runtime;
    struct mr_arena *arena;
};

/* MR_CONFIG at the option, if there is one to point at. */
static enum mr_status refuse(const struct place *place, const char *option, struct mr_error *err,
                             const char *what, const char *detail)
{
    if (place->named)
        return mr_options_error(place->options, option, err, "%s%s", what, detail);
    return mr_error_config(err, "%s%s", what, detail);
}

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
static enum mr_status local_location(const struct place *place, const char *path,
                                     struct mr_location *out, struct mr_error *err)
{
    if (strncmp(path, "file:", 5) == 0) {
        path += 5;
        if (strncmp(path, "//localhost/", 12) == 0)
            path += 11;
        else if (strncmp(path, "//", 2) == 0)
            path += 2;
    }
    int size = (int)without_slashes_behind(path, 1);
    const char *base = place->runtime->pipeline_dir ? place->runtime->pipeline_dir : ".";
    char here[4096] = "";
    /* Tokens of commits hold it, and it is located again from there. */
    if (*base != '/' && strcmp(base, ".") != 0 && !getcwd(here, sizeof here))
        here[0] = '\0';
    out->url = *path == '/' ? mr_arena_printf(place->arena, "%.*s", size, path)
                            : mr_arena_printf(place->arena, "%s%s%s/%.*s", here, *here ? "/" : "",
                                              base, size, path);
    MR_TRY(no_memory(out->url, err));
    out->store = mr_registry_store(place->runtime->registry, "file");
    if (!out->store)
        return mr_error_internal(err, "the local store is not in this build");
    return MR_OK;
}

/* ---- buckets ---- */

static const char *map_bucket(const struct mr_options *options, const char *bucket)
{
    if (!options || !mr_option_find(options->table, "bucketMap"))
        return NULL;
    const struct mr_option_value *value = mr_options_get(options, "bucketMap");
    for (int i = 0; value->set && i < value->u.pairs.count; i++) {
        if (strcmp(value->u.pairs.items[i].name, bucket) == 0)
            return value->u.pairs.items[i].text;
    }
    return NULL;
}

static enum mr_status s3_location(const struct place *place, const char *bucket, const char *option,
                                  struct mr_location *out, struct mr_error *err)
{
    out->store = mr_registry_store(place->runtime->registry, "s3");
    if (out->store) {
        out->url = out->text;
        return MR_OK;
    }
    refuse(place, option, err, "S3 is not in this build: bucket ", bucket);
    if (err)
        mr_error_hint(err,
                      "map the bucket to a directory in the credentials file: "
                      "\"defaults\": {\"s3\": {\"buckets\": {\"%s\": \"/a/directory\"}}}",
                      bucket);
    return MR_CONFIG;
}

static bool is_endpoint(const char *target)
{
    return strncmp(target, "http://", 7) == 0 || strncmp(target, "https://", 8) == 0;
}

/* What the map has for the bucket is a directory. */
static enum mr_status mapped_location(const struct place *place, const char *target,
                                      const char *key, struct mr_location *out,
                                      struct mr_error *err)
{
    const char *path = target;
    if (*key)
        path = mr_arena_printf(place->arena, "%.*s/%s", (int)without_slashes_behind(target, 0),
                               target, key);
    MR_TRY(no_memory(path, err));
    return local_location(place, path, out, err);
}

static enum mr_status bucket_location(const struct place *place, const char *bucket,
                                      const char *path, const char *option, struct mr_location *out,
                                      struct mr_error *err)
{
    path = without_slashes_before(path);
    const char *key = mr_arena_strndup(place->arena, path, without_slashes_behind(path, 0));
    MR_TRY(no_memory(key, err));
    out->text = mr_arena_printf(place->arena, "s3://%s/%s", bucket, key);
    MR_TRY(no_memory(out->text, err));
    if (*bucket == '\0')
        return refuse(place, option, err, "the name of the bucket is missing", "");
    if (strchr(bucket, '/'))
        return refuse(place, option, err, "a bucket's name has no slash: ", bucket);
    if (climbs(key))
        return refuse(place, "path", err, "'..' leads out of the bucket", "");
    const char *target = map_bucket(place->options, bucket);
    if (!target && place->runtime->offline)
        return MR_OK;
    if (!target || is_endpoint(target))
        return s3_location(place, bucket, option, out, err);
    if (strstr(target, "://") && strncmp(target, "file://", 7) != 0)
        return refuse(
            place, option, err,
            "the credentials file maps the bucket neither to a directory nor to an http or "
            "https URL: ",
            target);
    return mapped_location(place, target, key, out, err);
}

/* ---- the two ways in ---- */

static enum mr_status text_location(const struct place *place, const char *text,
                                    struct mr_location *out, struct mr_error *err)
{
    const char *s3 = behind_s3_scheme(text);
    if (s3) {
        size_t size = strcspn(s3, "/");
        const char *bucket = mr_arena_strndup(place->arena, s3, size);
        MR_TRY(no_memory(bucket, err));
        return bucket_location(place, bucket, s3 + size, "path", out, err);
    }
    if (strstr(text, "://") && strncmp(text, "file://", 7) != 0)
        return refuse(place, "path", err, "the schemes are s3, s3a and file, not that of ", text);
    out->text = text;
    return local_location(place, text, out, err);
}

enum mr_status mr_locate_text(const char *text, const struct mr_options *options,
                              struct mr_runtime *runtime, struct mr_arena *arena,
                              struct mr_location *out, struct mr_error *err)
{
    struct place place = {.options = options, .runtime = runtime, .arena = arena};
    *out = (struct mr_location){0};
    if (!*text)
        return mr_error_config(err, "the path is empty");
    return text_location(&place, text, out, err);
}

static enum mr_status nowhere(const struct mr_options *options, bool buckets, struct mr_error *err)
{
    mr_error_config(err, "the path is missing");
    if (err) {
        mr_error_where(err, "%s:%d:%d", options->position.file ? options->position.file : "",
                       options->position.line, options->position.column);
        mr_error_hint(err, buckets ? "give path, or bucket and path" : "give path");
    }
    return MR_CONFIG;
}

enum mr_status mr_locate(const struct mr_options *options, struct mr_runtime *runtime,
                         struct mr_arena *arena, struct mr_location *out, struct mr_error *err)
{
    struct place place = {options, true, runtime, arena};
    *out = (struct mr_location){0};
    bool buckets = mr_option_find(options->table, "bucket") != NULL;
    const char *bucket = buckets ? mr_options_text(options, "bucket") : NULL;
    const char *path = mr_options_text(options, "path");
    if (!bucket && (!path || !*path))
        return nowhere(options, buckets, err);
    if (bucket && path && (behind_s3_scheme(path) || strstr(path, "://")))
        return refuse(&place, "path", err,
                      "a path with a scheme names its bucket itself: leave out bucket", "");
    if (bucket)
        return bucket_location(&place, bucket, path ? path : "", "bucket", out, err);
    return text_location(&place, path, out, err);
}

const struct mr_store *mr_store_of_url(const char *url, struct mr_runtime *runtime)
{
    bool s3 = behind_s3_scheme(url) != NULL;
    return mr_registry_store(runtime->registry, s3 ? "s3" : "file");
}
