/*
 * credentials.c - the credentials file.
 *
 *     {
 *       "warehouse": { "host": "db", "username": "u", "password": "..." },      credentialPath "warehouse"
 *       "teams": { "sales": { "postgres": { ... } } },                          "teams.sales.postgres" or with slashes
 *       "defaults": { "postgres": { ... }, "kafka": { ... }, "s3": { "buckets": { "data-lake": "../data/lake" } } }
 *     }
 *
 * It is read at most once, and only when a step needs it, so that a pipeline over local files runs without one. What an
 * entry holds are the connection options of the step's own table; others are refused by position, and no message
 * quotes a value. Missing credentials are kept with the step instead of being an error: `validate` works offline.
 *
 * HashiCorp Vault is the next place that the dialect names. It is asked only where connecting is allowed, so a step whose
 * entry is not in the file says which secret it lacks; the caller fetches all of them (vault.c) and loads the file again
 * with what came. A secret belongs to more than one program: its keys that are none of the step's are left alone, with a
 * note in the plan, where a key of the file would be refused.
 */
#include "config/credentials.h"

#include "config/context.h"
#include "config/vault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PATH_BYTES 4096

/* Connection options that a step may state while its server still comes from the defaults. */
static const char *const refinements[] = {"schema",
                                          "sslmode",
                                          "region",
                                          "pathStyle",
                                          "proxy",
                                          "caFile",
                                          "properties",
                                          "bucketMap",
                                          "kafka.",
                                          "schemaRegistry",
                                          "schemaRegistryUserInfo",
                                          "schemaRegistryCa",
                                          "schemaRegistryCertificate",
                                          "schemaRegistryKey"};

static bool is_refinement(const char *name)
{
    for (size_t i = 0; i < sizeof(refinements) / sizeof(refinements[0]); i++)
        if (strcmp(refinements[i], name) == 0)
            return true;
    return false;
}

static bool readable(const char *path)
{
    return access(path, R_OK) == 0;
}

/* config/credentials.json in the working directory, else beside or above the pipeline. */
static enum mr_status search_file(struct mr_config_context *context,
                                  struct mr_credentials *credentials)
{
    credentials->searched = "config/credentials.json in the working directory and beside or above "
                            "the pipeline, --credentials and $MILLRACE_CREDENTIALS";
    const char *usual = "config/credentials.json";
    if (readable(usual)) {
        credentials->file = usual;
        return MR_OK;
    }
    char directory[PATH_BYTES];
    char *start = mr_config_directory(context->arena, context->request->file);
    if (start == NULL)
        return MR_NOMEM;
    if (realpath(start, directory) == NULL)
        return MR_OK;
    for (;;) {
        char *path = mr_arena_printf(context->arena, "%s/%s", directory, usual);
        if (path == NULL)
            return MR_NOMEM;
        if (readable(path)) {
            credentials->file = path;
            return MR_OK;
        }
        char *slash = strrchr(directory, '/');
        if (slash == NULL || slash == directory)
            return MR_OK;
        *slash = '\0';
    }
}

static enum mr_status look(struct mr_config_context *context, struct mr_credentials *credentials)
{
    if (credentials->looked)
        return MR_OK;
    credentials->looked = true;
    const char *file = context->request->credentials_file;
    const char *by = "--credentials";
    if (file == NULL) {
        file = getenv("MILLRACE_CREDENTIALS");
        by = "$MILLRACE_CREDENTIALS";
    }
    if (file != NULL && file[0] != '\0') {
        credentials->file = file;
        credentials->searched = mr_arena_printf(context->arena, "%s (%s)", file, by);
        if (credentials->searched == NULL)
            return MR_NOMEM;
        if (!readable(file)) {
            struct mr_error err;
            mr_error_set(&err, MR_CREDENTIALS, MR_CLASS_CONFIG,
                         "cannot read the credentials file %s (given by %s): %s", file, by,
                         strerror(errno));
            credentials->file = NULL;
            return mr_config_report(context, (struct mr_position){0}, &err);
        }
    } else {
        MR_TRY(search_file(context, credentials));
    }
    if (credentials->file == NULL)
        return MR_OK;
    char absolute[PATH_BYTES];
    char *directory = mr_config_directory(context->arena, credentials->file);
    if (directory != NULL && realpath(directory, absolute) != NULL)
        directory = mr_arena_strdup(context->arena, absolute);
    credentials->directory = directory;
    struct mr_position from = {.file = credentials->file};
    MR_TRY(mr_json_parse_file(context, credentials->file, from, true, &credentials->root));
    if (credentials->root != NULL && credentials->root->kind != MR_JSON_OBJECT) {
        MR_TRY(mr_config_problem(context, credentials->root->at,
                                 "the credentials file must hold an object, not %s",
                                 mr_json_kind_name(credentials->root->kind)));
        credentials->root = NULL;
    }
    return directory != NULL ? MR_OK : MR_NOMEM;
}

/* The entry of a path: the name as it is, else its parts between `separator`. */
static const struct mr_json *walk(const struct mr_json *root, const char *path, char separator)
{
    const struct mr_json *at = root;
    while (at != NULL && *path != '\0') {
        const char *end = strchr(path, separator);
        size_t size = end != NULL ? (size_t)(end - path) : strlen(path);
        const struct mr_json *child = at->kind == MR_JSON_OBJECT ? at->children : NULL;
        if (size > 0) {
            while (child != NULL &&
                   (strlen(child->name) != size || memcmp(child->name, path, size) != 0))
                child = child->next;
            at = child;
        }
        path += size + (end != NULL);
    }
    return at != root ? at : NULL;
}

static const struct mr_json *find_entry(const struct mr_credentials *credentials, const char *path)
{
    const struct mr_json *entry = mr_json_member(credentials->root, path);
    if (entry == NULL && strchr(path, '/') != NULL)
        entry = walk(credentials->root, path, '/');
    if (entry == NULL && strchr(path, '.') != NULL)
        entry = walk(credentials->root, path, '.');
    return entry;
}

/* A directory of the bucket map as an absolute path; `..` is taken off textually, since `base` has no links. */
static char *bucket_target(struct mr_arena *arena, const char *base, const char *target)
{
    if (target[0] == '/' || strstr(target, "://") != NULL)
        return mr_arena_strdup(arena, target);
    char *path = mr_arena_strdup(arena, base);
    while (path != NULL && *target != '\0') {
        size_t size = strcspn(target, "/");
        if (size == 2 && memcmp(target, "..", 2) == 0) {
            char *slash = strrchr(path, '/');
            if (slash != NULL)
                *slash = '\0';
        } else if (size > 0 && !(size == 1 && *target == '.')) {
            path = mr_arena_printf(arena, "%s/%.*s", path, (int)size, target);
        }
        target += size + (target[size] == '/');
    }
    return path != NULL && *path == '\0' ? mr_arena_strdup(arena, "/") : path;
}

/* {bucket: directory or URL} into the option bucketMap, if the step's table has it. */
static enum mr_status take_buckets(struct mr_config_context *context,
                                   const struct mr_credentials *credentials,
                                   const struct mr_json *buckets, struct mr_options *options)
{
    const struct mr_option *row = mr_option_find(options->table, "bucketMap");
    if (row == NULL || strcmp(row->name, "bucketMap") != 0)
        return MR_OK;
    struct mr_option_value *value = &options->values[row - options->table];
    if (buckets->kind != MR_JSON_OBJECT)
        return mr_config_problem(context, buckets->at, "\"buckets\" must be an object, not %s",
                                 mr_json_kind_name(buckets->kind));
    struct mr_option_pair *pairs =
        mr_arena_calloc(context->arena, (size_t)buckets->count + 1, sizeof(*pairs));
    if (pairs == NULL)
        return MR_NOMEM;
    int count = 0;
    for (const struct mr_json *bucket = buckets->children; bucket; bucket = bucket->next) {
        if (bucket->kind != MR_JSON_STRING || bucket->text[0] == '\0') {
            MR_TRY(mr_config_problem(context, bucket->at,
                                     "bucket \"%.80s\" must be a directory or a URL, not %s",
                                     bucket->name, mr_json_kind_name(bucket->kind)));
            continue;
        }
        char *target = bucket_target(context->arena, credentials->directory, bucket->text);
        if (target == NULL)
            return MR_NOMEM;
        pairs[count++] =
            (struct mr_option_pair){.name = bucket->name, .text = target, .position = bucket->at};
    }
    if (value->set)
        return MR_OK;
    value->u.pairs.items = pairs;
    value->u.pairs.count = count;
    value->position = buckets->at;
    value->set = true;
    return MR_OK;
}

static bool is_for_people(const char *name)
{
    return strcmp(name, "type") == 0 || strcmp(name, "description") == 0;
}

/* Is there a connection option of this name? */
static bool is_connection_key(const struct mr_options *options, const char *name)
{
    const struct mr_option *row = mr_option_find(options->table, name);
    return row != NULL && (row->flags & MR_OPTION_CONNECTION);
}

/* Gives the options of one entry to the step. */
static enum mr_status take_entry(struct mr_config_context *context,
                                 const struct mr_credentials *credentials,
                                 const struct mr_json *entry, struct mr_options *options)
{
    if (entry->kind != MR_JSON_OBJECT)
        return mr_config_problem(context, entry->at,
                                 "an entry of credentials must be an object, not %s",
                                 mr_json_kind_name(entry->kind));
    const struct mr_json *buckets = mr_json_member(entry, "buckets");
    if (buckets != NULL)
        MR_TRY(take_buckets(context, credentials, buckets, options));
    struct mr_json filtered = *entry;
    struct mr_json **link = &filtered.children;
    filtered.children = NULL;
    for (const struct mr_json *member = entry->children; member; member = member->next) {
        if (strcmp(member->name, "buckets") == 0 || is_for_people(member->name))
            continue;
        struct mr_json *copy = mr_arena_alloc(context->arena, sizeof(*copy));
        if (copy == NULL)
            return MR_NOMEM;
        *copy = *member;
        copy->next = NULL;
        *link = copy;
        link = &copy->next;
    }
    struct mr_check check = {.context = context,
                             .options = options,
                             .keep = true,
                             .only = MR_OPTION_CONNECTION};
    return mr_check_object(&check, &filtered);
}

/* --- Vault --- */

static const struct mr_vault_secret *find_secret(const struct mr_config_context *context,
                                                 const char *path)
{
    const struct mr_vault_secret *secret = context->request->secrets;
    while (secret != NULL && strcmp(secret->path, path) != 0)
        secret = secret->next;
    return secret;
}

/* The connection keys of a secret that have a value; names of the others in `rest`. */
static enum mr_status pick_keys(struct mr_config_context *context, const struct mr_json *data,
                                const struct mr_options *options, struct mr_json *out,
                                struct mr_bytes *rest)
{
    struct mr_json **link = &out->children;
    *out = *data;
    out->children = NULL;
    out->count = 0;
    for (const struct mr_json *member = data->children; member; member = member->next) {
        bool known =
            is_connection_key(options, member->name) || strcmp(member->name, "buckets") == 0;
        if (!known && !is_for_people(member->name))
            mr_bytes_printf(rest, "%s\"%.60s\"", rest->size > 0 ? ", " : "", member->name);
        if (!known || member->kind == MR_JSON_NULL)
            continue;
        struct mr_json *copy = mr_arena_alloc(context->arena, sizeof(*copy));
        if (copy == NULL)
            return MR_NOMEM;
        *copy = *member;
        copy->next = NULL;
        *link = copy;
        link = &copy->next;
        out->count++;
    }
    return rest->status == MR_NOMEM ? MR_NOMEM : MR_OK;
}

static enum mr_status take_keys(struct mr_config_context *context,
                                const struct mr_credentials *credentials, const char *origin,
                                const struct mr_json *data, struct mr_options *options)
{
    struct mr_json picked;
    struct mr_bytes rest;
    mr_bytes_init(&rest, 65536);
    enum mr_status status = pick_keys(context, data, options, &picked, &rest);
    if (status == MR_OK && picked.count == 0)
        status = mr_config_problem(context, data->at,
                                   "none of the secret's keys is of a connection%s%.400s",
                                   rest.size > 0 ? "; it has " : ": it is empty",
                                   rest.size > 0 ? rest.data : "");
    else if (status == MR_OK && rest.size > 0)
        status = mr_config_note(context, context->order, "%s: not used by this step: %.400s",
                                origin, rest.data);
    if (status == MR_OK && picked.count > 0)
        status = take_entry(context, credentials, &picked, options);
    mr_bytes_reset(&rest);
    return status;
}

/* A secret for several systems, {"postgres": {..}, "kafka": {..}}, has the step's under its name. */
static enum mr_status take_secret(struct mr_config_context *context,
                                  const struct mr_credentials *credentials, const char *system,
                                  const struct mr_vault_secret *secret, struct mr_options *options)
{
    struct mr_json *root = NULL;
    MR_TRY(mr_json_parse(context, secret->origin, secret->text, secret->size, true, &root));
    const struct mr_json *data = mr_json_member(root, "data");
    if (secret->versioned)
        data = mr_json_member(data, "data");
    if (data == NULL || data->kind != MR_JSON_OBJECT)
        return MR_OK; /* reported by the parser */
    const struct mr_json *own = system != NULL ? mr_json_member(data, system) : NULL;
    if (own != NULL && own->kind == MR_JSON_OBJECT && !is_connection_key(options, system))
        data = own;
    return take_keys(context, credentials, secret->origin, data, options);
}

static bool says_connection(const struct mr_options *options)
{
    for (int i = 0; i < options->count; i++)
        if (options->values[i].set && options->values[i].by_user &&
            (options->table[i].flags & MR_OPTION_CONNECTION) &&
            !is_refinement(options->table[i].name))
            return true;
    return false;
}

/* Does libpq find a server by itself? */
static bool libpq_has_defaults(void)
{
    static const char *const names[] = {"PGHOST", "PGHOSTADDR", "PGSERVICE",     "PGDATABASE",
                                        "PGUSER", "PGPASSWORD", "PGSERVICEFILE", "PGPASSFILE"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (getenv(names[i]) != NULL)
            return true;
    const char *home = getenv("HOME");
    char path[PATH_BYTES];
    if (home == NULL)
        return false;
    snprintf(path, sizeof(path), "%s/.pgpass", home);
    if (readable(path))
        return true;
    snprintf(path, sizeof(path), "%s/.pg_service.conf", home);
    return readable(path);
}

static enum mr_status missing_entry(struct mr_config_context *context,
                                    const struct mr_credentials *credentials, const char *path,
                                    struct mr_credentials_lack *lack)
{
    bool vault = mr_vault_is_known();
    const char *end = vault ? "; Vault was not asked" : ", and VAULT_ADDR is not set";
    lack->vault_path = vault ? path : NULL;
    if (credentials->file != NULL)
        lack->error = mr_arena_printf(context->arena, "credentialPath \"%s\" is not in %s%s", path,
                                      credentials->file, end);
    else
        lack->error = mr_arena_printf(context->arena,
                                      "credentialPath \"%s\": no credentials file; looked for %s%s",
                                      path, credentials->searched, end);
    return lack->error != NULL ? MR_OK : MR_NOMEM;
}

/* What to say when a step has no connection and nothing gives it one. */
static enum mr_status missing_defaults(struct mr_config_context *context,
                                       const struct mr_credentials *credentials, const char *system,
                                       const char **missing)
{
    bool postgres = strcmp(system, "postgres") == 0;
    bool kafka = strcmp(system, "kafka") == 0;
    if (postgres ? libpq_has_defaults() : !kafka || getenv("KAFKA_BOOTSTRAP_SERVERS") != NULL)
        return MR_OK; /* S3: the local store needs none, and AWS has its own chain */
    const char *ecosystem =
        postgres ? "PG* variables, ~/.pgpass or ~/.pg_service.conf" : "KAFKA_BOOTSTRAP_SERVERS";
    if (credentials->file != NULL)
        *missing = mr_arena_printf(context->arena,
                                   "no connection: neither credentialPath nor connection keys, no "
                                   "defaults.%s in %s, no %s",
                                   system, credentials->file, ecosystem);
    else
        *missing = mr_arena_printf(context->arena,
                                   "no connection: neither credentialPath nor connection keys, no "
                                   "credentials file (looked for %s), no %s",
                                   credentials->searched, ecosystem);
    return *missing != NULL ? MR_OK : MR_NOMEM;
}

/* The entry of a credentialPath: of the file, else of Vault. */
static enum mr_status apply_path(struct mr_config_context *context,
                                 const struct mr_credentials *credentials, const char *system,
                                 const char *path, struct mr_options *options,
                                 struct mr_credentials_lack *lack)
{
    const struct mr_json *entry = credentials->root != NULL ? find_entry(credentials, path) : NULL;
    const struct mr_vault_secret *secret = find_secret(context, path);
    if (entry != NULL)
        return take_entry(context, credentials, entry, options);
    if (secret != NULL)
        return take_secret(context, credentials, system, secret, options);
    return missing_entry(context, credentials, path, lack);
}

enum mr_status mr_credentials_apply(struct mr_config_context *context,
                                    struct mr_credentials *credentials, const char *system,
                                    const char *path, struct mr_options *options,
                                    struct mr_credentials_lack *lack)
{
    if (system == NULL && path == NULL)
        return MR_OK;
    if (path == NULL && strcmp(system, "s3") != 0 && says_connection(options))
        return MR_OK;
    MR_TRY(look(context, credentials));
    const struct mr_json *defaults = mr_json_member(credentials->root, "defaults");
    const struct mr_json *entry = system != NULL ? mr_json_member(defaults, system) : NULL;
    const struct mr_json *buckets = mr_json_member(entry, "buckets");
    if (path != NULL) {
        MR_TRY(apply_path(context, credentials, system, path, options, lack));
        if (lack->error != NULL)
            return MR_OK;
    } else if (entry == NULL) {
        return missing_defaults(context, credentials, system, &lack->error);
    } else if (!says_connection(options)) {
        return take_entry(context, credentials, entry, options);
    }
    return buckets != NULL ? take_buckets(context, credentials, buckets, options) : MR_OK;
}
