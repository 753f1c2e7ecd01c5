/*
 * vault.c - reading secrets from HashiCorp Vault's HTTP API, as its command line does.
 *
 *     GET v1/sys/internal/ui/mounts/secret/x   -> {"data": {"path": "secret/", "options": {"version": "2"}}}
 *     GET v1/secret/data/x                     -> {"data": {"data": {"host": ...}, "metadata": {...}}}     version 2
 *     GET v1/kv/x                              -> {"data": {"host": ...}}                                  version 1
 *
 * The first request tells where the mount ends and which version it has, so that "secret/x" and
 * "secret/data/x" both work. Where it is refused or unknown (old servers, narrow policies) the path
 * is read as written and then with "data/" behind its first part; the shape of the answer tells the
 * version. Configuration is the environment's: VAULT_ADDR, VAULT_TOKEN or ~/.vault-token,
 * VAULT_NAMESPACE, VAULT_CACERT, VAULT_CAPATH, VAULT_SKIP_VERIFY, VAULT_CLIENT_CERT,
 * VAULT_CLIENT_KEY, VAULT_PROXY_ADDR.
 *
 * What the server says in "errors" is passed on (it never quotes tokens or values); bodies of good
 * answers are in no message.
 */
#include "config/vault.h"

#include "net/http.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define ANSWER_MAX     ((size_t)4 << 20)
#define TOKEN_MAX      65536
#define TIMEOUT_MICROS INT64_C(60000000) /* of one request; the command line's default */

struct vault {
    struct mr_arena *arena;
    struct mr_http *http;
    struct mr_retry retry;
    struct mr_retry_log *retries;
    const char *address; /* without a slash at its end */
    const char *namespace;
    const char *headers[4];
};

static const char *environment(const char *name)
{
    const char *text = getenv(name);
    return text != NULL && text[0] != '\0' ? text : NULL;
}

bool mr_vault_is_known(void)
{
    return environment("VAULT_ADDR") != NULL;
}

/* --- the environment --- */

/* What strconv.ParseBool of Go takes. */
static enum mr_status read_flag(const char *name, bool *out, struct mr_error *err)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};
    const char *text = environment(name);
    *out = false;
    for (size_t i = 0; text != NULL && i < sizeof yes / sizeof yes[0]; i++) {
        if (strcmp(text, yes[i]) == 0) {
            *out = true;
            return MR_OK;
        }
        if (strcmp(text, no[i]) == 0)
            return MR_OK;
    }
    if (text == NULL)
        return MR_OK;
    return mr_error_set(err, MR_CREDENTIALS, MR_CLASS_CONFIG,
                        "%s must be true or false, not \"%.40s\"", name, text);
}

static char *trim(char *text)
{
    while (*text == ' ' || *text == '\t' || *text == '\n' || *text == '\r')
        text++;
    size_t size = strlen(text);
    while (size > 0 && strchr(" \t\r\n", text[size - 1]) != NULL)
        text[--size] = '\0';
    return text;
}

/* VAULT_TOKEN, else the file that `vault login` writes. */
static enum mr_status find_token(struct mr_arena *arena, const char **out, struct mr_error *err)
{
    const char *text = environment("VAULT_TOKEN"), *home = environment("HOME");
    char *copy = NULL;
    *out = NULL;
    if (text != NULL) {
        copy = mr_arena_strdup(arena, text);
        if (copy == NULL)
            return mr_error_nomem(err);
    } else if (home != NULL) {
        char *path = mr_arena_printf(arena, "%s/.vault-token", home);
        FILE *file = path != NULL ? fopen(path, "rbe") : NULL;
        if (path == NULL)
            return mr_error_nomem(err);
        if (file == NULL && errno != ENOENT && errno != ENOTDIR)
            return mr_error_errno(err, MR_CREDENTIALS, errno, "cannot read the Vault token of %s",
                                  path);
        copy = file != NULL ? mr_arena_calloc(arena, TOKEN_MAX, 1) : NULL;
        size_t size = copy != NULL ? fread(copy, 1, TOKEN_MAX - 1, file) : 0;
        (void)size;
        if (file != NULL)
            fclose(file);
    }
    if (copy != NULL)
        copy = trim(copy);
    *out = copy != NULL && copy[0] != '\0' ? copy : NULL;
    return MR_OK;
}

static enum mr_status find_address(struct vault *vault, struct mr_error *err)
{
    const char *text = environment("VAULT_ADDR");
    if (strncasecmp(text, "http://", 7) != 0 && strncasecmp(text, "https://", 8) != 0)
        return mr_error_set(err, MR_CREDENTIALS, MR_CLASS_CONFIG,
                            "VAULT_ADDR must begin with https:// or http://");
    const char *host = strstr(text, "://") + 3;
    if (memchr(host, '@', strcspn(host, "/")) != NULL || strpbrk(text, "?# \r\n") != NULL)
        return mr_error_set(err, MR_CREDENTIALS, MR_CLASS_CONFIG,
                            "VAULT_ADDR must be a plain address: https://host:8200");
    char *address = mr_arena_strdup(vault->arena, text);
    if (address == NULL)
        return mr_error_nomem(err);
    for (size_t size = strlen(address); size > 0 && address[size - 1] == '/';)
        address[--size] = '\0';
    vault->address = address;
    return MR_OK;
}

static enum mr_status set_headers(struct vault *vault, struct mr_error *err)
{
    const char *token;
    int n = 0;
    MR_TRY(find_token(vault->arena, &token, err));
    if (token == NULL) {
        mr_error_set(
            err, MR_CREDENTIALS, MR_CLASS_CONFIG,
            "Vault at %s: no token: VAULT_TOKEN is not set and ~/.vault-token is not there",
            vault->address);
        mr_error_hint(err, "\"vault login\" writes the file");
        return MR_CREDENTIALS;
    }
    vault->namespace = environment("VAULT_NAMESPACE");
    vault->headers[n++] = "X-Vault-Request: true";
    vault->headers[n++] = mr_arena_printf(vault->arena, "X-Vault-Token: %s", token);
    if (vault->namespace != NULL)
        vault->headers[n++] =
            mr_arena_printf(vault->arena, "X-Vault-Namespace: %s", vault->namespace);
    return vault->headers[n - 1] != NULL && vault->headers[1] != NULL ? MR_OK : mr_error_nomem(err);
}

static enum mr_status open_vault(struct vault *vault, const struct mr_spec *spec,
                                 struct mr_waiter *waiter, struct mr_error *err)
{
    struct mr_http_options options = {
        .ca_file = environment("VAULT_CACERT"),
        .ca_path = environment("VAULT_CAPATH"),
        .client_cert = environment("VAULT_CLIENT_CERT"),
        .client_key = environment("VAULT_CLIENT_KEY"),
        .proxy = environment("VAULT_PROXY_ADDR"),
        .connect_timeout_micros = spec->timeout_connect_micros,
        .status = MR_CREDENTIALS,
        .cause = MR_WAIT_SOURCE,
        .retries = vault->retries,
        .step = "credentials",
    };
    vault->retry = spec->retry;
    MR_TRY(find_address(vault, err));
    MR_TRY(read_flag("VAULT_SKIP_VERIFY", &options.insecure, err));
    MR_TRY(set_headers(vault, err));
    return mr_http_new(&options, waiter, &vault->http, err);
}

/* --- one request --- */

/* A sealed server answers 503, and will until somebody unseals it. */
static bool is_sealed(const struct mr_http_answer *answer)
{
    return answer->status == 503 && answer->body.data != NULL &&
           strstr(answer->body.data, "sealed") != NULL;
}

/* v1/<prefix><path>, every part of the path percent-encoded. */
static char *make_url(const struct vault *vault, const char *prefix, const char *path)
{
    struct mr_bytes url;
    mr_bytes_init(&url, 1 << 16);
    mr_bytes_printf(&url, "%s/v1/%s", vault->address, prefix);
    for (const unsigned char *c = (const unsigned char *)path; *c != '\0'; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                     (*c >= '0' && *c <= '9') || strchr("-._~/", *c) != NULL;
        if (plain)
            mr_bytes_char(&url, (char)*c);
        else
            mr_bytes_printf(&url, "%%%02X", *c);
    }
    return mr_bytes_to_arena(&url, vault->arena);
}

static enum mr_status get(const struct vault *vault, const char *prefix, const char *path,
                          struct mr_http_answer *answer, struct mr_error *err)
{
    char *url = make_url(vault, prefix, path);
    if (url == NULL)
        return mr_error_nomem(err);
    struct mr_http_request request = {.method = "GET",
                                      .url = url,
                                      .headers = vault->headers,
                                      .answer_max = ANSWER_MAX,
                                      .timeout_micros = TIMEOUT_MICROS,
                                      .redirects = 1,
                                      .final = is_sealed};
    enum mr_status status = mr_http_send(vault->http, &request, &vault->retry, answer, err);
    if (status == MR_CREDENTIALS)
        mr_error_prefix(err, "Vault could not be reached");
    return status;
}

static json_t *parse_answer(const struct mr_http_answer *answer)
{
    if (answer->body.data == NULL)
        return NULL;
    return json_loadb(answer->body.data, answer->body.size,
                      JSON_DECODE_INT_AS_REAL | JSON_REJECT_DUPLICATES, NULL);
}

/* {"errors": ["1 error occurred:\n\t* permission denied\n\n"]} in one line. */
static void said(const struct mr_http_answer *answer, char *out, size_t capacity)
{
    json_t *root = parse_answer(answer);
    json_t *errors = json_object_get(root, "errors"), *item;
    size_t i, used = 0;
    out[0] = '\0';
    json_array_foreach(errors, i, item)
    {
        const char *text = json_string_value(item);
        for (; text != NULL && *text != '\0' && used + 3 < capacity; text++) {
            bool blank = *text == '\n' || *text == '\t' || *text == ' ';
            if (!blank)
                out[used++] = *text;
            else if (used > 0 && out[used - 1] != ' ')
                out[used++] = ' ';
        }
        if (used + 3 < capacity)
            used += (size_t)snprintf(out + used, 3, "; ");
    }
    while (used > 0 && strchr(" ;", out[used - 1]) != NULL)
        used--;
    out[used] = '\0';
    json_decref(root);
}

static enum mr_status answer_error(const struct vault *vault, const char *path,
                                   const struct mr_http_answer *answer, struct mr_error *err)
{
    char text[300], where[400];
    said(answer, text, sizeof text);
    snprintf(where, sizeof where, "Vault at %.150s%s%.60s%s: %.120s", vault->address,
             vault->namespace != NULL ? " (namespace " : "",
             vault->namespace != NULL ? vault->namespace : "", vault->namespace != NULL ? ")" : "",
             path);
    enum mr_error_class cls =
        answer->status == 429 || answer->status >= 500 ? MR_CLASS_TRANSIENT : MR_CLASS_CONFIG;
    if (is_sealed(answer)) {
        mr_error_set(err, MR_CREDENTIALS, MR_CLASS_CONFIG, "%s: Vault is sealed", where);
        mr_error_hint(err, "its operators must unseal it");
    } else if (answer->status == 403) {
        mr_error_set(err, MR_CREDENTIALS, cls, "%s: the token may not read this (403%s%s)", where,
                     text[0] ? ": " : "", text);
        mr_error_hint(err, "the token may have expired, or its policy lacks read on this path%s",
                      vault->namespace != NULL ? "" : "; VAULT_NAMESPACE is not set");
    } else if (answer->status == 404) {
        mr_error_set(err, MR_CREDENTIALS, cls, "%s: there is no such secret (404%s%s)", where,
                     text[0] ? ": " : "", text);
    } else {
        mr_error_set(err, MR_CREDENTIALS, cls, "%s: the server answered %d%s%s", where,
                     answer->status, text[0] ? ": " : "", text);
    }
    return MR_CREDENTIALS;
}

/* --- one secret --- */

enum version { UNKNOWN, ONE, TWO };

/* Mount and version of a path, by the server's own word; UNKNOWN where it gives none. */
static enum mr_status find_mount(const struct vault *vault, const char *path, enum version *version,
                                 size_t *mount, struct mr_error *err)
{
    struct mr_http_answer answer;
    *version = UNKNOWN;
    *mount = 0;
    mr_http_answer_init(&answer);
    enum mr_status status = get(vault, "sys/internal/ui/mounts/", path, &answer, err);
    if (status == MR_OK && is_sealed(&answer))
        status = answer_error(vault, path, &answer, err);
    json_t *root = status == MR_OK && answer.status == 200 ? parse_answer(&answer) : NULL;
    json_t *data = json_object_get(root, "data");
    const char *at = json_string_value(json_object_get(data, "path"));
    const char *number =
        json_string_value(json_object_get(json_object_get(data, "options"), "version"));
    if (at != NULL && strncmp(path, at, strlen(at)) == 0) {
        *mount = strlen(at);
        *version = number != NULL && strcmp(number, "2") == 0 ? TWO : ONE;
    }
    json_decref(root);
    mr_http_answer_reset(&answer);
    return status;
}

/* The path of the API for a secret below a mount of version 2: with "data/" once. */
static char *with_data(struct mr_arena *arena, const char *path, size_t mount)
{
    if (strncmp(path + mount, "data/", 5) == 0)
        return mr_arena_strdup(arena, path);
    return mr_arena_printf(arena, "%.*sdata/%s", (int)mount, path, path + mount);
}

/* Version 2 wraps the keys; a deleted secret has none. */
static bool is_versioned(const struct mr_http_answer *answer, enum version version)
{
    if (version != UNKNOWN)
        return version == TWO;
    json_t *root = parse_answer(answer);
    json_t *data = json_object_get(root, "data");
    bool wrapped = json_object_get(data, "data") != NULL &&
                   json_is_object(json_object_get(data, "metadata")) && json_object_size(data) == 2;
    json_decref(root);
    return wrapped;
}

static bool was_deleted(const struct mr_http_answer *answer)
{
    json_t *root = answer->status == 404 ? parse_answer(answer) : NULL;
    json_t *data = json_object_get(root, "data");
    bool deleted = json_is_null(json_object_get(data, "data")) &&
                   json_is_object(json_object_get(data, "metadata"));
    json_decref(root);
    return deleted;
}

static enum mr_status keep(const struct vault *vault, const char *path,
                           const struct mr_http_answer *answer, enum version version,
                           struct mr_vault_secret *out, struct mr_error *err)
{
    json_t *root = parse_answer(answer);
    out->versioned = is_versioned(answer, version);
    json_t *data = json_object_get(root, "data");
    bool good = json_is_object(out->versioned ? json_object_get(data, "data") : data);
    json_decref(root);
    if (!good)
        return mr_error_set(err, MR_CREDENTIALS, MR_CLASS_CONFIG,
                            "Vault at %s: the answer for %.120s has no keys", vault->address, path);
    out->origin = mr_arena_printf(vault->arena, "Vault %s", path);
    out->text = mr_arena_strndup(vault->arena, answer->body.data, answer->body.size);
    out->size = answer->body.size;
    return out->origin != NULL && out->text != NULL ? MR_OK : mr_error_nomem(err);
}

/* Reads at most two paths of the API: the second where the first is not there or not allowed. */
static enum mr_status read_paths(const struct vault *vault, const char *const paths[2],
                                 enum version version, struct mr_vault_secret *out,
                                 struct mr_error *err)
{
    struct mr_http_answer answers[2];
    enum mr_status status = MR_OK;
    int last = -1, good = -1;
    mr_http_answer_init(&answers[0]);
    mr_http_answer_init(&answers[1]);
    while (status == MR_OK && good < 0 && last < 1 && paths[last + 1] != NULL) {
        last++;
        status = get(vault, "", paths[last], &answers[last], err);
        if (status == MR_OK && answers[last].status == 200)
            good = last;
        else if (status == MR_OK && answers[last].status != 403 && answers[last].status != 404)
            break;
    }
    /* Of two refusals the one that says most: a 403 tells that the path may exist. */
    int worst = last == 1 && answers[1].status == 404 && answers[0].status == 403 ? 0 : last;
    if (status == MR_OK && good >= 0)
        status = keep(vault, paths[good], &answers[good], version, out, err);
    else if (status == MR_OK && was_deleted(&answers[last]))
        status = mr_error_set(err, MR_CREDENTIALS, MR_CLASS_CONFIG,
                              "Vault at %s: the latest version of %.120s is deleted",
                              vault->address, paths[last]);
    else if (status == MR_OK)
        status = answer_error(vault, paths[worst], &answers[worst], err);
    mr_http_answer_reset(&answers[0]);
    mr_http_answer_reset(&answers[1]);
    return status;
}

/* Without slashes around it; "", "." and ".." are no parts of a path. */
static enum mr_status clean_path(struct mr_arena *arena, const char *written, char **out,
                                 struct mr_error *err)
{
    while (*written == '/')
        written++;
    char *path = mr_arena_strdup(arena, written);
    if (path == NULL)
        return mr_error_nomem(err);
    for (size_t size = strlen(path); size > 0 && path[size - 1] == '/';)
        path[--size] = '\0';
    *out = path;
    int parts = 0;
    for (const char *part = path;; part++) {
        size_t size = strcspn(part, "/");
        if (size == 0 || strncmp(part, "..", size > 2 ? size : 2) == 0 ||
            (size == 1 && *part == '.'))
            break;
        parts++;
        part += size;
        if (*part == '\0')
            return parts > 1 ? MR_OK
                             : mr_error_set(err, MR_CREDENTIALS, MR_CLASS_CONFIG,
                                            "credentialPath \"%.80s\" is in no credentials file, "
                                            "and no path of Vault: mount/name",
                                            path);
    }
    return mr_error_set(err, MR_CREDENTIALS, MR_CLASS_CONFIG,
                        "credentialPath \"%.80s\" is no path of Vault", written);
}

static enum mr_status fetch_one(const struct vault *vault, const char *written,
                                struct mr_vault_secret *out, struct mr_error *err)
{
    char *path = NULL;
    enum version version;
    size_t mount;
    MR_TRY(clean_path(vault->arena, written, &path, err));
    MR_TRY(find_mount(vault, path, &version, &mount, err));
    const char *paths[2] = {path, NULL};
    if (version == TWO)
        paths[0] = with_data(vault->arena, path, mount);
    else if (version == UNKNOWN)
        paths[1] = with_data(vault->arena, path, strcspn(path, "/") + 1);
    if (paths[0] == NULL || (version == UNKNOWN && paths[1] == NULL))
        return mr_error_nomem(err);
    if (paths[1] != NULL && strcmp(paths[0], paths[1]) == 0)
        paths[1] = NULL;
    out->path = written;
    return read_paths(vault, paths, version, out, err);
}

static bool is_fetched(const struct mr_vault_secret *secrets, const char *path)
{
    while (secrets != NULL && strcmp(secrets->path, path) != 0)
        secrets = secrets->next;
    return secrets != NULL;
}

static enum mr_status fetch_step(struct vault *vault, const struct mr_spec *spec,
                                 const struct mr_step_spec *step, struct mr_waiter *waiter,
                                 const struct mr_vault_secret **out, struct mr_error *err)
{
    struct mr_vault_secret *secret = mr_arena_calloc(vault->arena, 1, sizeof *secret);
    if (secret == NULL)
        return mr_error_nomem(err);
    enum mr_status status = vault->http != NULL ? MR_OK : open_vault(vault, spec, waiter, err);
    if (status == MR_OK)
        status = fetch_one(vault, step->vault_path, secret, err);
    if (status == MR_OK) {
        secret->next = (struct mr_vault_secret *)(uintptr_t)*out;
        *out = secret;
        return MR_OK;
    }
    mr_error_prefix(err, "%s", step->label);
    mr_error_where(err, "%s:%d:%d", step->position.file, step->position.line,
                   step->position.column);
    return status;
}

enum mr_status mr_vault_fetch(const struct mr_spec *spec, struct mr_arena *arena,
                              struct mr_waiter *waiter, struct mr_retry_log *retries,
                              const struct mr_vault_secret **out, struct mr_error *err)
{
    struct vault vault = {.arena = arena, .retries = retries};
    enum mr_status status = MR_OK;
    *out = NULL;
    for (int i = spec->state_server ? -1 : 0; i < spec->nsteps && status == MR_OK; i++) {
        const struct mr_step_spec *step = i < 0 ? &spec->state_server->step : &spec->steps[i];
        if (step->vault_path != NULL && !is_fetched(*out, step->vault_path))
            status = fetch_step(&vault, spec, step, waiter, out, err);
    }
    mr_http_free(vault.http);
    return status;
}
