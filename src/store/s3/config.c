/*
 * config.c - from URL, options, environment and profile to the settings of a handle.
 *
 * Which host: the bucket's entry in bucketMap, else the option endpoint, else AWS_ENDPOINT_URL_S3
 * and its kin, else Amazon's service in the region. The bucket becomes part of the host name with
 * Amazon's service only; an endpoint of one's own, an IP address, and a bucket whose name has dots (no
 * certificate fits it) get it in the path.
 */
#include "store/s3/s3_private.h"

#include <strings.h>

#define CONNECTIONS    16
#define PART_SIZE      ((int64_t)8 << 20)
#define PART_THRESHOLD ((int64_t)16 << 20)
#define THRESHOLD_MAX  ((int64_t)1 << 30)
#define UPLOAD_THREADS 4

/* NULL when the step has no such option, or it is not set. */
static const struct mr_option_value *value_of(const struct mr_options *options, const char *name)
{
    for (int i = 0; options && i < options->count; i++)
        if (strcmp(options->table[i].name, name) == 0)
            return options->values[i].set ? &options->values[i] : NULL;
    return NULL;
}

static const char *text_of(const struct mr_options *options, const char *name)
{
    const struct mr_option_value *value = value_of(options, name);
    return value && value->u.text && *value->u.text ? value->u.text : NULL;
}

static int64_t integer_of(const struct mr_options *options, const char *name, int64_t fallback)
{
    const struct mr_option_value *value = value_of(options, name);
    return value ? value->u.integer : fallback;
}

static bool boolean_of(const struct mr_options *options, const char *name, bool fallback)
{
    const struct mr_option_value *value = value_of(options, name);
    return value ? value->u.boolean : fallback;
}

/* --- bucket and prefix --- */

static bool is_bucket_name(const char *name)
{
    size_t size = strlen(name);
    if (size < 1 || size > 255)
        return false;
    for (const char *c = name; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
              *c == '.' || *c == '-' || *c == '_'))
            return false;
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static enum mr_status read_url(const char *url, struct mr_arena *arena, struct s3_config *out,
                               struct mr_error *err)
{
    const char *at = strstr(url, "://");
    if (!at || (strncasecmp(url, "s3://", 5) != 0 && strncasecmp(url, "s3a://", 6) != 0))
        return mr_error_config(err, "'%s' is not a URL of S3", url);
    at += 3;
    size_t size = strcspn(at, "/");
    out->bucket = mr_arena_strndup(arena, at, size);
    at += size;
    while (*at == '/')
        at++;
    size = strlen(at);
    while (size > 0 && at[size - 1] == '/')
        size--;
    out->prefix = size ? mr_arena_printf(arena, "%.*s/", (int)size, at) : "";
    if (!out->bucket || !out->prefix)
        return mr_error_nomem(err);
    if (strchr(out->bucket, '@')) /* not shown: it may be a key that was meant to be secret */
        return mr_error_config(err, "the URL has a user or a key in front of its bucket: keys "
                                    "belong in the options or the environment");
    if (!is_bucket_name(out->bucket))
        return mr_error_config(err, "'%s' is not the name of a bucket", out->bucket);
    if (strlen(out->prefix) > S3_PATH_MAX)
        return mr_error_config(err, "the path in the bucket is longer than %d bytes", S3_PATH_MAX);
    return MR_OK;
}

/* --- endpoint --- */

/* Takes "https://host:port[/bucket]" apart. */
static enum mr_status read_endpoint(const char *endpoint, bool bucket_too, struct mr_arena *arena,
                                    struct s3_config *out, struct mr_error *err)
{
    out->https = strncasecmp(endpoint, "https://", 8) == 0;
    if (!out->https && strncasecmp(endpoint, "http://", 7) != 0) {
        mr_error_config(err, "the S3 endpoint '%.*s' does not begin with http:// or https://",
                        (int)strcspn(endpoint, "@?"), endpoint);
        return MR_CONFIG;
    }
    const char *host = endpoint + (out->https ? 8 : 7);
    size_t size = strcspn(host, "/?#");
    const char *path = host + size;
    const char *port = out->https ? ":443" : ":80";
    if (memchr(host, '@', size))
        return mr_error_config(err, "the S3 endpoint holds a user name: give keys by accessKey and "
                                    "secretKey");
    if (size > strlen(port) && strncmp(host + size - strlen(port), port, strlen(port)) == 0)
        size -= strlen(port); /* as curl sends it */
    while (*path == '/')
        path++;
    size_t rest = strcspn(path, "/");
    if (size == 0 || (rest > 0 && !bucket_too) || path[rest + strspn(path + rest, "/")] != '\0')
        return mr_error_config(err, "the S3 endpoint is to be http(s)://host[:port]%s",
                               bucket_too ? "[/bucket]" : "");
    char *copy = mr_arena_strndup(arena, host, size);
    out->host = copy;
    if (rest > 0)
        out->bucket = mr_arena_strndup(arena, path, rest);
    if (!out->host || !out->bucket)
        return mr_error_nomem(err);
    for (char *c = copy; *c; c++) /* curl sends the host in lower case: what is signed must be so */
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
    out->given_host = true;
    return MR_OK;
}

static const char *mapped(const struct mr_options *options, const char *bucket)
{
    const struct mr_option_value *map = value_of(options, "bucketMap");
    for (int i = 0; map && i < map->u.pairs.count; i++)
        if (strcmp(map->u.pairs.items[i].name, bucket) == 0)
            return map->u.pairs.items[i].text;
    return NULL;
}

static bool is_address(const char *host)
{
    return *host == '[' || (*host && strspn(host, "0123456789.:") == strlen(host));
}

static bool is_amazon(const char *host)
{
    size_t size = strcspn(host, ":");
    const char *const ends[] = {".amazonaws.com", ".amazonaws.com.cn"};
    for (int i = 0; i < 2; i++) {
        size_t end = strlen(ends[i]);
        if (size > end && strncasecmp(host + size - end, ends[i], end) == 0)
            return true;
    }
    return false;
}

/* The region and endpoint of the environment or a profile, for what the step does not say. */
static enum mr_status ask_environment(struct mr_arena *arena, struct s3_config *out,
                                      const char **endpoint, struct mr_error *err)
{
    struct s3_provider *provider;
    MR_TRY(s3_provider_new(&out->credentials, &provider, err));
    const char *region = s3_provider_region(provider);
    const char *found = s3_provider_endpoint(provider);
    out->region = mr_arena_strdup(arena, region ? region : "");
    if (!*endpoint && found)
        *endpoint = mr_arena_strdup(arena, found);
    bool failed = !out->region || (found && !*endpoint);
    s3_provider_free(provider);
    return failed ? mr_error_nomem(err) : MR_OK;
}

static enum mr_status read_place(const struct mr_options *options, struct mr_arena *arena,
                                 struct s3_config *out, struct mr_error *err)
{
    const char *map = mapped(options, out->bucket);
    const char *endpoint = map && strstr(map, "://") ? map : text_of(options, "endpoint");
    bool bucket_too = endpoint == map && map;
    MR_TRY(ask_environment(arena, out, &endpoint, err));
    if (strlen(out->region) >= S3_REGION_SIZE)
        return mr_error_config(err, "the region is longer than %d bytes", S3_REGION_SIZE - 1);
    out->https = true;
    out->host = "";
    if (endpoint)
        MR_TRY(read_endpoint(endpoint, bucket_too, arena, out, err));
    out->aws = !out->given_host || is_amazon(out->host);
    bool path_style = (out->given_host && !out->aws) || is_address(out->host) ||
                      strchr(out->bucket, '.') != NULL || strchr(out->bucket, '_') != NULL;
    out->path_style = boolean_of(options, "pathStyle", path_style);
    return MR_OK;
}

/* --- the rest --- */

static enum mr_status read_sizes(const struct mr_options *options, struct s3_config *out,
                                 struct mr_error *err)
{
    out->part_size = integer_of(options, "multipartSize", PART_SIZE);
    if (out->part_size < S3_PART_MIN || out->part_size > S3_PART_MAX)
        return mr_options_error(options, "multipartSize", err, "a part has 5 MB to 5 GB");
    out->threshold = integer_of(options, "multipartThreshold", PART_THRESHOLD);
    if (out->threshold > THRESHOLD_MAX)
        out->threshold = THRESHOLD_MAX;
    out->upload_threads = (int)integer_of(options, "uploadThreads", UPLOAD_THREADS);
    out->disk = integer_of(options, "uploadBuffer", 0) == 1;
    out->checksum = (enum s3_checksum)integer_of(options, "checksum", S3_CHECKSUM_NONE);
    out->connections = (int)integer_of(options, "maxConnections", CONNECTIONS);
    return MR_OK;
}

static const char *keep(struct mr_arena *arena, const char *text, bool *failed)
{
    const char *copy = text ? mr_arena_strdup(arena, text) : NULL;
    *failed |= text && !copy;
    return copy;
}

enum mr_status s3_config_read(const char *url, const struct mr_options *options,
                              struct mr_runtime *runtime, struct mr_arena *arena,
                              struct s3_config *out, struct mr_error *err)
{
    bool failed = false;
    *out = (struct s3_config){0};
    MR_TRY(read_url(url, arena, out, err));
    out->ca_file = keep(arena, text_of(options, "caFile"), &failed);
    out->proxy = keep(arena, text_of(options, "proxy"), &failed);
    out->connect_micros = runtime->timeout_connect_micros;
    out->credentials = (struct s3_credentials_options){
        .access_key = keep(arena, text_of(options, "accessKey"), &failed),
        .secret_key = keep(arena, text_of(options, "secretKey"), &failed),
        .session_token = keep(arena, text_of(options, "sessionToken"), &failed),
        .profile = keep(arena, text_of(options, "profile"), &failed),
        .region = keep(arena, text_of(options, "region"), &failed),
        .ca_file = out->ca_file,
        .proxy = out->proxy,
        .anonymous = boolean_of(options, "anonymous", false),
    };
    if (failed)
        return mr_error_nomem(err);
    MR_TRY(read_place(options, arena, out, err));
    return read_sizes(options, out, err);
}
