/*
 * credentials.c - the provider: one set of keys per run, refreshed early and by one thread.
 *
 * Places are asked in the order of the AWS SDKs: the step, the environment, a web identity
 * (Kubernetes), the shared configuration files, the container's service, the instance's service.
 * The first that is set up decides: if it fails, the run ends with its error rather than go on as
 * somebody else. Anonymous requests are made only when the step asks for them.
 *
 * Keys that expire are fetched again five minutes before they do. Whoever notices first fetches;
 * the others use the old ones while these are valid, else they wait through mr_wait in small steps,
 * because a lock held over a request would keep their CPU permits. When a refresh fails and the old keys
 * are still valid they are used, and the next attempt comes a while later.
 *
 * No message holds a secret: values of variables, files and answers are never printed.
 */
#include "store/s3/credentials.h"

#include "base/thread.h"
#include "base/time.h"
#include "store/s3/credentials_private.h"

#include <stdio.h>
#include <stdlib.h>

#define EARLY_MICROS (INT64_C(300) * MR_MICROS_PER_SECOND)
#define AGAIN_MICROS (INT64_C(30) * MR_MICROS_PER_SECOND)
#define POLL_MICROS  INT64_C(5000)

struct s3_provider {
    struct mr_arena arena; /* copies of the options, the files; written only by new */
    struct s3_credentials_options options;
    const struct s3_profiles *profiles;
    const char *profile;
    pthread_mutex_t lock; /* guards what follows */
    const struct s3_credentials *current;
    bool fetching;
    bool distrusted;    /* the service refused `current` */
    int64_t no_earlier; /* monotonic: when a failed refresh may be tried again */
};

/* --- credentials --- */

static void wipe(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    mr_free(text);
}

void s3_credentials_unref(const struct s3_credentials *shared)
{
    struct s3_credentials *credentials = (struct s3_credentials *)(uintptr_t)shared;
    if (!credentials || atomic_fetch_sub_explicit(&credentials->refs, 1, memory_order_acq_rel) > 1)
        return;
    wipe(credentials->access_key);
    wipe(credentials->secret_key);
    wipe(credentials->session_token);
    mr_free(credentials);
}

static const struct s3_credentials *ref(const struct s3_credentials *shared)
{
    struct s3_credentials *credentials = (struct s3_credentials *)(uintptr_t)shared;
    if (credentials)
        atomic_fetch_add_explicit(&credentials->refs, 1, memory_order_relaxed);
    return shared;
}

static bool is_header_text(const char *text)
{
    for (; text && *text; text++)
        if ((unsigned char)*text < 0x20 || (unsigned char)*text == 0x7F)
            return false;
    return true;
}

enum mr_status s3_credentials_new(const char *access_key, const char *secret_key,
                                  const char *session_token, int64_t expires_micros,
                                  const char *origin, const struct s3_credentials **out,
                                  struct mr_error *err)
{
    *out = NULL;
    if (!access_key || !*access_key || !secret_key || !*secret_key)
        return mr_error_set(err, MR_CREDENTIALS, MR_CLASS_CONFIG,
                            "%s: the %s of the S3 credentials is empty", origin,
                            access_key && *access_key ? "secret key" : "access key");
    if (!is_header_text(access_key) || !is_header_text(session_token))
        return mr_error_set(err, MR_CREDENTIALS, MR_CLASS_CONFIG,
                            "%s: the S3 credentials hold a control character", origin);
    struct s3_credentials *credentials = mr_calloc(1, sizeof *credentials);
    if (!credentials)
        return mr_error_nomem(err);
    atomic_init(&credentials->refs, 1);
    credentials->expires_micros = expires_micros;
    credentials->origin = origin;
    credentials->access_key = mr_strdup(access_key);
    credentials->secret_key = mr_strdup(secret_key);
    bool token = session_token && *session_token;
    credentials->session_token = token ? mr_strdup(session_token) : NULL;
    if (!credentials->access_key || !credentials->secret_key ||
        (token && !credentials->session_token)) {
        s3_credentials_unref(credentials);
        return mr_error_nomem(err);
    }
    *out = credentials;
    return MR_OK;
}

/* --- helpers of the chain --- */

const char *s3_env(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

void s3_chain_tried(struct s3_chain *chain, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    mr_bytes_printf(chain->tried, "%s%s", chain->tried->size ? "; " : "", text);
}

bool s3_time_parse(const char *text, int64_t *micros)
{
    struct mr_civil civil = {0};
    int year, used = 0;
    if (!text || sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &year, &civil.month, &civil.day,
                        &civil.hour, &civil.minute, &civil.second, &used) < 6)
        return false;
    if (civil.month < 1 || civil.month > 12 || civil.day < 1 || civil.day > 31)
        return false;
    civil.year = year;
    *micros = mr_micros_from_civil(&civil);
    int hours, minutes;
    const char *zone = text + used;
    while (*zone == '.' || (*zone >= '0' && *zone <= '9'))
        zone++;
    if ((*zone == '+' || *zone == '-') && sscanf(zone + 1, "%2d:%2d", &hours, &minutes) == 2)
        *micros -=
            (*zone == '+' ? 1 : -1) * ((int64_t)hours * 60 + minutes) * 60 * MR_MICROS_PER_SECOND;
    return true;
}

enum mr_status s3_read_small(struct mr_arena *arena, const char *path, const char **out,
                             struct mr_error *err)
{
    enum { MAXIMUM = 1 << 20 };
    FILE *file = fopen(path, "re");
    if (!file)
        return mr_error_set(err, MR_CREDENTIALS, MR_CLASS_CONFIG, "cannot open %s", path);
    char *text = mr_arena_alloc(arena, MAXIMUM + 1);
    size_t size = text ? fread(text, 1, MAXIMUM + 1, file) : 0;
    fclose(file);
    if (!text)
        return mr_error_nomem(err);
    if (size > MAXIMUM)
        return mr_error_set(err, MR_CREDENTIALS, MR_CLASS_CONFIG, "%s is larger than 1 MiB", path);
    text[size] = '\0';
    *out = text;
    return MR_OK;
}

enum mr_status s3_from_environment(struct s3_chain *chain, const struct s3_credentials **out,
                                   struct mr_error *err)
{
    const char *access = s3_env("AWS_ACCESS_KEY_ID");
    const char *secret = s3_env("AWS_SECRET_ACCESS_KEY");
    if (!access && !secret) {
        s3_chain_tried(chain, "environment (AWS_ACCESS_KEY_ID is not set)");
        return MR_OK;
    }
    if (!access || !secret) {
        mr_error_set(err, MR_CREDENTIALS, MR_CLASS_CONFIG,
                     "%s is set in the environment, %s is not",
                     access ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
                     access ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
        mr_error_hint(err, "set both, or none");
        return MR_CREDENTIALS;
    }
    return s3_credentials_new(access, secret, s3_env("AWS_SESSION_TOKEN"), INT64_MAX,
                              "the environment", out, err);
}

/* --- the chain --- */

static enum mr_status from_options(struct s3_chain *chain, const struct s3_credentials **out,
                                   struct mr_error *err)
{
    const struct s3_credentials_options *options = chain->options;
    if (!options->access_key && !options->secret_key) {
        s3_chain_tried(chain, "options (no accessKey)");
        return MR_OK;
    }
    if (!options->access_key || !options->secret_key) {
        mr_error_set(err, MR_CREDENTIALS, MR_CLASS_CONFIG, "%s is given without %s",
                     options->access_key ? "accessKey" : "secretKey",
                     options->access_key ? "secretKey" : "accessKey");
        mr_error_hint(err, "set both in the credentials file, or none");
        return MR_CREDENTIALS;
    }
    return s3_credentials_new(options->access_key, options->secret_key, options->session_token,
                              INT64_MAX, "the options", out, err);
}

typedef enum mr_status place(struct s3_chain *chain, const struct s3_credentials **out,
                             struct mr_error *err);

static enum mr_status walk(struct s3_chain *chain, const struct s3_credentials **out,
                           struct mr_error *err)
{
    place *const normal[] = {from_options,
                             s3_from_environment,
                             s3_from_web_identity,
                             s3_from_profile,
                             s3_from_container,
                             s3_from_instance,
                             NULL};
    /* A profile that the step names goes before what the machine has. */
    place *const named[] = {from_options, s3_from_profile, NULL};
    place *const *places = chain->options->profile ? named : normal;
    for (int i = 0; places[i]; i++) {
        MR_TRY(places[i](chain, out, err));
        if (*out)
            return MR_OK;
    }
    mr_error_set(err, MR_CREDENTIALS, MR_CLASS_CONFIG, "no S3 credentials found. Tried: %s",
                 chain->tried->size ? chain->tried->data : "");
    mr_error_hint(err, "give accessKey and secretKey in the credentials file, set "
                       "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \"anonymous\": true for a "
                       "public bucket");
    return MR_CREDENTIALS;
}

static enum mr_status fetch(struct s3_provider *provider, struct mr_waiter *waiter,
                            const struct s3_credentials **out, struct mr_error *err)
{
    struct mr_arena arena;
    struct mr_bytes tried;
    mr_arena_init(&arena, NULL);
    mr_bytes_init(&tried, 4096);
    const char *region = s3_provider_region(provider);
    struct s3_chain chain = {
        .options = &provider->options,
        .profiles = provider->profiles,
        .profile = provider->profile,
        .region = region ? region : "us-east-1",
        .waiter = waiter,
        .arena = &arena,
        .tried = &tried,
    };
    enum mr_status status = walk(&chain, out, err);
    mr_bytes_reset(&tried);
    mr_arena_reset(&arena);
    return status;
}

/* --- the provider --- */

static const char *copy(struct mr_arena *arena, const char *text, bool *failed)
{
    if (!text || !*text)
        return NULL;
    const char *made = mr_arena_strdup(arena, text);
    *failed |= !made;
    return made;
}

enum mr_status s3_provider_new(const struct s3_credentials_options *options,
                               struct s3_provider **out, struct mr_error *err)
{
    struct s3_provider *provider = mr_calloc(1, sizeof *provider);
    bool failed = false;
    *out = NULL;
    if (!provider)
        return mr_error_nomem(err);
    mr_arena_init(&provider->arena, NULL);
    mr_mutex_init(&provider->lock);
    struct mr_arena *arena = &provider->arena;
    provider->options = (struct s3_credentials_options){
        .access_key = copy(arena, options->access_key, &failed),
        .secret_key = copy(arena, options->secret_key, &failed),
        .session_token = copy(arena, options->session_token, &failed),
        .profile = copy(arena, options->profile, &failed),
        .region = copy(arena, options->region, &failed),
        .ca_file = copy(arena, options->ca_file, &failed),
        .proxy = copy(arena, options->proxy, &failed),
        .anonymous = options->anonymous,
    };
    const char *profile = provider->options.profile ? provider->options.profile
                          : s3_env("AWS_PROFILE")   ? s3_env("AWS_PROFILE")
                                                    : "default";
    provider->profile = copy(arena, profile, &failed);
    enum mr_status status = failed ? mr_error_nomem(err) : MR_OK;
    if (status == MR_OK)
        status = s3_profiles_read(arena, &provider->profiles, err);
    if (status == MR_OK)
        *out = provider;
    else
        s3_provider_free(provider);
    return status;
}

void s3_provider_free(struct s3_provider *provider)
{
    if (!provider)
        return;
    s3_credentials_unref(provider->current);
    mr_arena_reset(&provider->arena);
    pthread_mutex_destroy(&provider->lock);
    mr_free(provider);
}

const char *s3_provider_region(const struct s3_provider *provider)
{
    if (provider->options.region)
        return provider->options.region;
    if (s3_env("AWS_REGION"))
        return s3_env("AWS_REGION");
    if (s3_env("AWS_DEFAULT_REGION"))
        return s3_env("AWS_DEFAULT_REGION");
    return s3_profile_value(provider->profiles, provider->profile, "region");
}

const char *s3_provider_endpoint(const struct s3_provider *provider)
{
    if (s3_env("AWS_ENDPOINT_URL_S3"))
        return s3_env("AWS_ENDPOINT_URL_S3");
    if (s3_env("AWS_ENDPOINT_URL"))
        return s3_env("AWS_ENDPOINT_URL");
    return s3_profile_value(provider->profiles, provider->profile, "endpoint_url");
}

/* What to do now. Caller holds the lock. */
enum decision { USE, FETCH, WAIT };

static enum decision decide(struct s3_provider *provider, int64_t now)
{
    const struct s3_credentials *current = provider->current;
    bool valid = current && !provider->distrusted && current->expires_micros > now;
    bool fresh = valid && (current->expires_micros == INT64_MAX ||
                           current->expires_micros - now > EARLY_MICROS);
    if (fresh)
        return USE;
    if (provider->fetching)
        return valid ? USE : WAIT;
    if (valid && mr_clock_monotonic_micros() < provider->no_earlier)
        return USE;
    return FETCH;
}

/* After a fetch: takes the new ones, or keeps the old ones where these still serve. */
static enum mr_status settle(struct s3_provider *provider, enum mr_status status,
                             const struct s3_credentials *fetched,
                             const struct s3_credentials **out, struct mr_error *err)
{
    pthread_mutex_lock(&provider->lock);
    provider->fetching = false;
    const struct s3_credentials *old = provider->current;
    if (status == MR_OK) {
        provider->current = fetched;
        provider->distrusted = false;
        provider->no_earlier = mr_clock_monotonic_micros() + AGAIN_MICROS;
    } else if (status != MR_CANCELLED && old && !provider->distrusted &&
               old->expires_micros > mr_clock_wall_micros()) {
        provider->no_earlier = mr_clock_monotonic_micros() + AGAIN_MICROS;
        fetched = old;
        old = NULL;
        status = MR_OK;
    } else {
        old = NULL;
    }
    if (status == MR_OK)
        *out = ref(fetched);
    pthread_mutex_unlock(&provider->lock);
    s3_credentials_unref(old);
    (void)err;
    return status;
}

enum mr_status s3_provider_get(struct s3_provider *provider, struct mr_waiter *waiter,
                               const struct s3_credentials **out, struct mr_error *err)
{
    *out = NULL;
    if (provider->options.anonymous)
        return MR_OK;
    for (;;) {
        pthread_mutex_lock(&provider->lock);
        enum decision decision = decide(provider, mr_clock_wall_micros());
        if (decision == USE)
            *out = ref(provider->current);
        if (decision == FETCH)
            provider->fetching = true;
        pthread_mutex_unlock(&provider->lock);
        if (decision == USE)
            return MR_OK;
        if (decision == FETCH) {
            const struct s3_credentials *fetched = NULL;
            enum mr_status status = fetch(provider, waiter, &fetched, err);
            return settle(provider, status, fetched, out, err);
        }
        MR_TRY(mr_wait(waiter, -1, 0, mr_clock_monotonic_micros() + POLL_MICROS, MR_WAIT_SOURCE,
                       NULL, err));
    }
}

void s3_provider_distrust(struct s3_provider *provider, const struct s3_credentials *credentials)
{
    pthread_mutex_lock(&provider->lock);
    if (provider->current == credentials)
        provider->distrusted = true;
    pthread_mutex_unlock(&provider->lock);
}
