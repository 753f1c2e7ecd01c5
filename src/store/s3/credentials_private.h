/*
 * credentials_private.h - one walk along the chain of places that may have keys.
 */
#ifndef MR_STORE_S3_CREDENTIALS_PRIVATE_H
#define MR_STORE_S3_CREDENTIALS_PRIVATE_H

#include "net/http.h"
#include "store/s3/credentials.h"

struct s3_profiles; /* the two configuration files, read */

struct s3_chain {
    const struct s3_credentials_options *options;
    const struct s3_profiles *profiles;
    const char *profile; /* name in use */
    const char *region;  /* for STS; never NULL */
    struct mr_waiter *waiter;
    struct mr_arena *arena; /* scratch, of this walk */
    struct mr_bytes *tried; /* "the environment (AWS_ACCESS_KEY_ID is not set); ..." */
};

/* NULL values of texts are empty. Makes a reference. */
enum mr_status s3_credentials_new(const char *access_key, const char *secret_key,
                                  const char *session_token, int64_t expires_micros,
                                  const char *origin, const struct s3_credentials **out,
                                  struct mr_error *err);
/* Notes a place that has no keys, and why. */
void s3_chain_tried(struct s3_chain *chain, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Variable of the environment, NULL when empty. */
const char *s3_env(const char *name);
/* "2026-01-31T12:00:00Z" as microseconds; false when it is not one. */
bool s3_time_parse(const char *text, int64_t *micros);
/* A whole small file, in the arena. */
enum mr_status s3_read_small(struct mr_arena *arena, const char *path, const char **out,
                             struct mr_error *err);

/*
 * Places. *out stays NULL, with a note, where a place is not set up; an error is one that is set up and
 * fails.
 */
enum mr_status s3_from_environment(struct s3_chain *chain, const struct s3_credentials **out,
                                   struct mr_error *err);
enum mr_status s3_from_web_identity(struct s3_chain *chain, const struct s3_credentials **out,
                                    struct mr_error *err);
enum mr_status s3_from_profile(struct s3_chain *chain, const struct s3_credentials **out,
                               struct mr_error *err);
enum mr_status s3_from_container(struct s3_chain *chain, const struct s3_credentials **out,
                                 struct mr_error *err);
enum mr_status s3_from_instance(struct s3_chain *chain, const struct s3_credentials **out,
                                struct mr_error *err);

/* Assumes a role with credentials, or (NULL) with the token of a web identity. */
struct s3_role {
    const char *arn;
    const char *session; /* NULL = "millrace" */
    const char *external_id;
    const char *duration; /* seconds */
    const char *token;    /* of a web identity */
    const char *origin;
};
enum mr_status s3_assume_role(struct s3_chain *chain, const struct s3_role *role,
                              const struct s3_credentials *with, const struct s3_credentials **out,
                              struct mr_error *err);
/* From the JSON that containers, instances and credential_process speak. */
enum mr_status s3_credentials_from_json(struct mr_slice text, const char *origin,
                                        const struct s3_credentials **out, struct mr_error *err);
/* Runs a command without a shell; its output is in the arena. */
enum mr_status s3_run_process(struct s3_chain *chain, const char *command, const char **out,
                              struct mr_error *err);

enum mr_status s3_profiles_read(struct mr_arena *arena, const struct s3_profiles **out,
                                struct mr_error *err);
bool s3_profile_exists(const struct s3_profiles *profiles, const char *profile);
const char *s3_profile_value(const struct s3_profiles *profiles, const char *profile,
                             const char *key);

#endif
