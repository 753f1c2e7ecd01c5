/*
 * registry.c - schemas by their id, from a registry over HTTP.
 *
 * A record names its schema by a number, which stands for one text for ever, so each is asked for once and kept as long as the process (or
 * the run) shares things: in an mr_shared, where the first reader to meet an id asks and the others wait. Requests are that rare, so each has
 * a connection of its own, instead of a client that readers would have to queue for.
 *
 * "There is no such schema" is said by the registry, with a code of its own in the answer, and is a fault of the record. A 404 without that code comes
 * from something that is no registry, and an answer that does not come says nothing about the record: both fail.
 */
#include "connect/kafka/registry.h"

#include "base/hash.h"
#include "base/time.h"
#include "enc/value_text.h"
#include "net/http.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>

#define ANSWER_MAX     ((size_t)32 << 20)
#define TIMEOUT_MICROS (30 * MR_MICROS_PER_SECOND)
#define MEDIA          "application/vnd.schemaregistry.v1+json"

/* Codes of the registry's own. */
enum { NO_SUBJECT = 40401, NO_VERSION = 40402, NO_SCHEMA = 40403 };

struct kafka_registry {
    const struct mr_options *options;
    enum mr_status status;
    const char *url; /* without user, password and a slash at the end */
    const char *header[4];
    struct mr_http_options http;
    uint64_t mark; /* of what is sent with every request: others see other schemas */
};

static const struct mr_retry own_retry = {.attempts = 5,
                                          .delay_micros = 200 * 1000,
                                          .max_delay_micros = 5 * MR_MICROS_PER_SECOND,
                                          .multiplier = 3,
                                          .jitter = true};

/* --- options --- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What is written as %41 in a URL. */
static char *decode_percent(struct mr_arena *arena, const char *text, size_t size)
{
    char *out = mr_arena_strndup(arena, text, size), *to = out;
    for (size_t i = 0; out != NULL && i < size; i++) {
        int high = i + 2 < size && text[i] == '%' ? hex_digit(text[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
        *to++ = low >= 0 ? (char)(high << 4 | low) : text[i];
        i += low >= 0 ? 2 : 0;
    }
    if (out != NULL)
        *to = '\0';
    return out;
}

/* The URL without user and password, which come back apart ("user:password", or NULL). */
static enum mr_status read_url(struct kafka_registry *registry, const char *text,
                               struct mr_arena *arena, const char **user_info, struct mr_error *err)
{
    const char *host = strstr(text, "://");
    *user_info = NULL;
    if (host == NULL || (strncmp(text, "http://", 7) != 0 && strncmp(text, "https://", 8) != 0) ||
        strpbrk(text, ", ?#") != NULL)
        return mr_options_error(registry->options, "schemaRegistry", err,
                                "one http:// or https:// address is wanted");
    host += 3;
    size_t authority = strcspn(host, "/"), user = 0;
    for (size_t i = 0; i < authority; i++)
        user = host[i] == '@' ? i + 1 : user;
    if (user > 0) {
        *user_info = decode_percent(arena, host, user - 1);
        if (*user_info == NULL)
            return mr_error_nomem(err);
    }
    char *url = mr_arena_printf(arena, "%.*s%s", (int)(host - text), text, host + user);
    if (url == NULL)
        return mr_error_nomem(err);
    for (size_t size = strlen(url); size > 0 && url[size - 1] == '/'; size--)
        url[size - 1] = '\0';
    registry->url = url;
    return MR_OK;
}

static enum mr_status set_headers(struct kafka_registry *registry, const char *user_info,
                                  struct mr_arena *arena, struct mr_error *err)
{
    int n = 0;
    registry->header[n++] = "Accept: " MEDIA ", application/json";
    registry->header[n++] = "Content-Type: " MEDIA;
    if (user_info == NULL)
        return MR_OK;
    struct mr_bytes line;
    mr_bytes_init(&line, 1 << 16);
    mr_bytes_text(&line, "Authorization: Basic ");
    mr_base64_append(&line, user_info, strlen(user_info));
    registry->mark = mr_hash64(line.data, line.size);
    registry->header[n] = mr_bytes_to_arena(&line, arena);
    return registry->header[n] != NULL ? MR_OK : mr_error_nomem(err);
}

enum mr_status kafka_registry_open(const struct mr_options *options, enum mr_status status,
                                   struct mr_arena *arena, const struct kafka_registry **out,
                                   struct mr_error *err)
{
    const char *text = mr_options_text(options, "schemaRegistry"), *user_info;
    const char *given = mr_options_text(options, "schemaRegistryUserInfo");
    *out = NULL;
    if (text == NULL)
        return MR_OK;
    struct kafka_registry *registry = mr_arena_calloc(arena, 1, sizeof *registry);
    if (registry == NULL)
        return mr_error_nomem(err);
    registry->options = options;
    registry->status = status;
    MR_TRY(read_url(registry, text, arena, &user_info, err));
    MR_TRY(set_headers(registry, given != NULL ? given : user_info, arena, err));
    registry->http = (struct mr_http_options){
        .ca_file = mr_options_text(options, "schemaRegistryCa"),
        .client_cert = mr_options_text(options, "schemaRegistryCertificate"),
        .client_key = mr_options_text(options, "schemaRegistryKey"),
        .status = status,
        .cause = status == MR_SINK ? MR_WAIT_SINK : MR_WAIT_SOURCE,
        .step = "schemaRegistry",
    };
    *out = registry;
    return MR_OK;
}

const char *kafka_registry_place(const struct kafka_registry *registry)
{
    return registry->url;
}

/* --- one request --- */

struct asking {
    const struct kafka_registry *registry;
    struct mr_runtime *runtime;
    const char *doing;   /* for messages */
    const char *subject; /* or NULL: `id` */
    int32_t id;
};

static void append_path(struct mr_bytes *url, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if (isalnum(*c) || strchr("-._~", *c) != NULL)
            mr_bytes_char(url, (char)*c);
        else
            mr_bytes_printf(url, "%%%02X", *c);
    }
}

/* What a refusal says: its code (0 = none) and message. */
static int read_refusal(const struct mr_http_answer *answer, char *out, size_t room)
{
    json_t *root = answer->body.data != NULL
                       ? json_loadb(answer->body.data, answer->body.size, 0, NULL)
                       : NULL;
    const char *message = json_string_value(json_object_get(root, "message"));
    int code = (int)json_integer_value(json_object_get(root, "error_code"));
    snprintf(out, room, "%s", message != NULL ? message : "");
    json_decref(root);
    return code;
}

static enum mr_status refused(const struct asking *asking, const struct mr_http_answer *answer,
                              struct mr_error *err)
{
    const struct kafka_registry *registry = asking->registry;
    char says[300];
    int code = read_refusal(answer, says, sizeof says);
    enum mr_status status = registry->status;
    enum mr_error_class cls = MR_CLASS_CONFIG;
    const char *hint = NULL;
    if (answer->status == 401 || answer->status == 403) {
        status = MR_CREDENTIALS;
        hint = "check the user and password in schemaRegistry or schemaRegistryUserInfo";
    } else if (answer->status == 429 || answer->status >= 500) {
        cls = MR_CLASS_TRANSIENT;
    } else if (code == NO_SCHEMA && asking->subject == NULL) {
        cls = MR_CLASS_DATA;
    } else if (code == NO_SUBJECT || code == NO_VERSION) {
        hint = "write `schema`, or register one; the subject of a topic's values is the name of "
               "the topic "
               "with -value";
    } else if (answer->status == 404 && code == 0) {
        hint = "is schemaRegistry the address of a registry?";
    }
    mr_error_set(err, status, cls, "schema registry %s: %s: %d%s%s", registry->url, asking->doing,
                 answer->status, says[0] ? ", " : "", says);
    if (hint != NULL)
        mr_error_hint(err, "%s", hint);
    return status;
}

/* Sends and reads the JSON object of the answer. */
static enum mr_status send(const struct asking *asking, const char *path, struct mr_slice body,
                           json_t **out, struct mr_error *err)
{
    const struct kafka_registry *registry = asking->registry;
    struct mr_runtime *runtime = asking->runtime;
    struct mr_http_options options = registry->http;
    struct mr_http_answer answer;
    struct mr_http *http = NULL;
    struct mr_bytes url;
    *out = NULL;
    options.connect_timeout_micros = runtime->timeout_connect_micros;
    options.retries = runtime->retries;
    mr_bytes_init(&url, 1 << 16);
    mr_bytes_printf(&url, "%s%s", registry->url, path);
    mr_http_answer_init(&answer);
    enum mr_status status = mr_bytes_status(&url, err);
    if (status == MR_OK)
        status = mr_http_new(&options, runtime->waiter, &http, err);
    struct mr_http_request request = {.method = body.data != NULL ? "POST" : "GET",
                                      .url = url.data,
                                      .headers = registry->header,
                                      .body = body,
                                      .answer_max = ANSWER_MAX,
                                      .timeout_micros = TIMEOUT_MICROS,
                                      .repeatable = true};
    if (status == MR_OK) {
        status = mr_http_send(http, &request, mr_retry_policy(runtime, &own_retry), &answer, err);
        if (status != MR_OK)
            mr_error_prefix(err, "schema registry");
    }
    if (status == MR_OK && answer.status != 200)
        status = refused(asking, &answer, err);
    if (status == MR_OK) {
        *out = json_loadb(answer.body.data ? answer.body.data : "", answer.body.size, 0, NULL);
        if (!json_is_object(*out))
            status = mr_error_set(err, registry->status, MR_CLASS_CONFIG,
                                  "schema registry %s: %s: the answer is no JSON object",
                                  registry->url, asking->doing);
    }
    mr_http_free(http);
    mr_http_answer_reset(&answer);
    mr_bytes_reset(&url);
    return status;
}

/* --- schemas --- */

struct kept {
    struct kafka_registered registered;
    struct mr_arena arena;
};

static void destroy(void *object)
{
    struct kept *kept = object;
    mr_arena_reset(&kept->arena);
    mr_free(kept);
}

static enum mr_status unusable(const struct asking *asking, enum mr_error_class cls,
                               const char *what, struct mr_error *err)
{
    return mr_error_set(err, asking->registry->status, cls, "schema registry %s: %s: %s",
                        asking->registry->url, asking->doing, what);
}

static enum mr_status keep(const struct asking *asking, const json_t *answer, struct kept *kept,
                           struct mr_error *err)
{
    const json_t *text = json_object_get(answer, "schema"), *id = json_object_get(answer, "id");
    const char *type = json_string_value(json_object_get(answer, "schemaType"));
    struct mr_error cause = {0};
    if (!json_is_string(text))
        return unusable(asking, MR_CLASS_CONFIG, "the answer has no schema", err);
    if (type != NULL && strcmp(type, "AVRO") != 0) {
        char what[96];
        snprintf(what, sizeof what, "it is no Avro schema but one of %.40s", type);
        return unusable(asking, asking->subject ? MR_CLASS_CONFIG : MR_CLASS_DATA, what, err);
    }
    if (json_array_size(json_object_get(answer, "references")) > 0)
        return unusable(
            asking, MR_CLASS_CONFIG,
            "it refers to other schemas of the registry, which is not supported: register "
            "it with the named types written out",
            err);
    kept->registered.id = json_is_integer(id) ? (int32_t)json_integer_value(id) : asking->id;
    struct mr_slice slice = {json_string_value(text), json_string_length(text)};
    enum mr_status status =
        mr_avro_parse(&kept->arena, slice, false, &kept->registered.document, &cause);
    if (status == MR_NOMEM)
        return mr_error_nomem(err);
    return status == MR_OK ? MR_OK
                           : unusable(asking, asking->subject ? MR_CLASS_CONFIG : MR_CLASS_DATA,
                                      cause.message, err);
}

static enum mr_status make(void *context, void **out, struct mr_error *err)
{
    const struct asking *asking = context;
    struct mr_bytes path;
    json_t *answer = NULL;
    mr_bytes_init(&path, 1 << 16);
    if (asking->subject != NULL) {
        mr_bytes_text(&path, "/subjects/");
        append_path(&path, asking->subject);
        mr_bytes_text(&path, "/versions/latest");
    } else {
        mr_bytes_printf(&path, "/schemas/ids/%ld", (long)asking->id);
    }
    enum mr_status status = mr_bytes_status(&path, err);
    if (status == MR_OK)
        status = send(asking, path.data, (struct mr_slice){0}, &answer, err);
    mr_bytes_reset(&path);
    struct kept *kept = status == MR_OK ? mr_calloc(1, sizeof *kept) : NULL;
    if (status == MR_OK && kept == NULL)
        status = mr_error_nomem(err);
    if (kept != NULL) {
        mr_arena_init(&kept->arena, NULL); /* of no run's account: it outlives them */
        status = keep(asking, answer, kept, err);
    }
    json_decref(answer);
    if (status != MR_OK && kept != NULL)
        destroy(kept);
    if (status == MR_OK)
        *out = kept;
    return status;
}

/* Out of what is kept `in`, or asked for. */
static enum mr_status get(struct asking *asking, struct mr_shared *in, const char *what,
                          const struct kafka_registered **out, struct mr_error *err)
{
    const struct kafka_registry *registry = asking->registry;
    struct mr_runtime lent = *asking->runtime;
    struct mr_bytes key, doing;
    void *object = NULL;
    mr_bytes_init(&key, 1 << 16);
    mr_bytes_init(&doing, 1 << 16);
    lent.shared = in;
    mr_bytes_printf(&key, "kafka registry %llx %s %s", (unsigned long long)registry->mark,
                    registry->url, what);
    mr_bytes_printf(&doing, "reading %s", what);
    enum mr_status status = mr_bytes_status(&key, err);
    if (status == MR_OK)
        status = mr_bytes_status(&doing, err);
    asking->doing = doing.data;
    if (status == MR_OK && in == NULL)
        status = mr_error_internal(err, "a schema registry without a place to keep schemas");
    if (status == MR_OK)
        status = mr_shared_get(&lent, key.data, make, asking, destroy, &object, err);
    mr_bytes_reset(&key);
    mr_bytes_reset(&doing);
    *out = status == MR_OK ? &((struct kept *)object)->registered : NULL;
    return status;
}

enum mr_status kafka_registry_schema(const struct kafka_registry *registry,
                                     struct mr_runtime *runtime, int32_t id,
                                     const struct kafka_registered **out, struct mr_error *err)
{
    struct asking asking = {.registry = registry, .runtime = runtime, .id = id};
    char what[32];
    snprintf(what, sizeof what, "schema %ld", (long)id);
    return get(&asking, runtime->common != NULL ? runtime->common : runtime->shared, what, out,
               err);
}

enum mr_status kafka_registry_latest(const struct kafka_registry *registry,
                                     struct mr_runtime *runtime, const char *subject,
                                     const struct kafka_registered **out, struct mr_error *err)
{
    struct asking asking = {.registry = registry, .runtime = runtime, .subject = subject};
    char what[400];
    snprintf(what, sizeof what, "the latest schema of subject %.300s", subject);
    bool process = runtime->streaming && runtime->common != NULL;
    return get(&asking, process ? runtime->common : runtime->shared, what, out, err);
}

enum mr_status kafka_registry_register(const struct kafka_registry *registry,
                                       struct mr_runtime *runtime, const char *subject,
                                       struct mr_slice schema, int32_t *id, struct mr_error *err)
{
    char doing[400];
    snprintf(doing, sizeof doing, "registering a schema under subject %.300s", subject);
    struct asking asking = {.registry = registry,
                            .runtime = runtime,
                            .subject = subject,
                            .doing = doing};
    struct mr_bytes path;
    json_t *answer = NULL, *body = json_object();
    if (json_object_set_new(body, "schema", json_stringn(schema.data, schema.size)) != 0) {
        json_decref(body);
        return mr_error_nomem(err);
    }
    char *text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    mr_bytes_init(&path, 1 << 16);
    mr_bytes_text(&path, "/subjects/");
    append_path(&path, subject);
    mr_bytes_text(&path, "/versions");
    enum mr_status status = text != NULL ? mr_bytes_status(&path, err) : mr_error_nomem(err);
    if (status == MR_OK)
        status = send(&asking, path.data, mr_slice_of(text), &answer, err);
    const json_t *given = json_object_get(answer, "id");
    if (status == MR_OK && !json_is_integer(given))
        status = unusable(&asking, MR_CLASS_CONFIG, "the answer has no id", err);
    if (status == MR_OK)
        *id = (int32_t)json_integer_value(given);
    json_decref(answer);
    free(text);
    mr_bytes_reset(&path);
    return status;
}
