/*
 * credentials.h - where keys come from, and keeping them fresh.
 */
#ifndef MR_STORE_S3_CREDENTIALS_H
#define MR_STORE_S3_CREDENTIALS_H

#include "base/arena.h"
#include "base/wait.h"

#include <stdatomic.h>

/* Immutable, reference counted; wiped when freed. */
struct s3_credentials {
    atomic_int_fast32_t refs;
    char *access_key;
    char *secret_key;
    char *session_token;    /* NULL = none */
    int64_t expires_micros; /* wall clock; INT64_MAX = never */
    const char *origin;     /* "the environment": for messages */
};

void s3_credentials_unref(const struct s3_credentials *credentials);

/* What the step says; everything else is looked up. Texts may be NULL and are copied. */
struct s3_credentials_options {
    const char *access_key;
    const char *secret_key;
    const char *session_token;
    const char *profile;
    const char *region; /* for STS */
    const char *ca_file;
    const char *proxy;
    bool anonymous;
};

struct s3_provider; /* any thread */

enum mr_status s3_provider_new(const struct s3_credentials_options *options,
                               struct s3_provider **out, struct mr_error *err);
void s3_provider_free(struct s3_provider *provider);
/*
 * A reference to credentials that are good for minutes, or NULL for anonymous ones. One thread
 * fetches; others wait for it, or go on with what is still valid. MR_CREDENTIALS tells what was
 * tried.
 */
enum mr_status s3_provider_get(struct s3_provider *provider, struct mr_waiter *waiter,
                               const struct s3_credentials **out, struct mr_error *err);
/* The service called these expired: the next get fetches others. */
void s3_provider_distrust(struct s3_provider *provider, const struct s3_credentials *credentials);
/* Region of AWS_REGION, AWS_DEFAULT_REGION or the profile; NULL when there is none. */
const char *s3_provider_region(const struct s3_provider *provider);
/* AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the profile's endpoint_url; NULL. */
const char *s3_provider_endpoint(const struct s3_provider *provider);

#endif
