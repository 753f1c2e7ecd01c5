/*
 * credentials_profile.c - the files that the AWS tools share, and the commands that they name.
 *
 * ~/.aws/config and ~/.aws/credentials (AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE) are INI files.
 * A profile x is the section [x] of the second and [profile x] of the first; the second wins. Of a
 * profile are understood: keys; role_arn with source_profile, credential_source or
 * web_identity_token_file; credential_process; region; endpoint_url. What needs a browser or a device (sso,
 * mfa) is refused with the way around it.
 */
#include "base/time.h"
#include "store/s3/credentials_private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROLES_MAX      8 /* source_profile leading on and on */
#define PROCESS_MICROS (INT64_C(60) * MR_MICROS_PER_SECOND)
#define REAP_MICROS    INT64_C(2000)
#define REAP_STEPS     2500
#define ARGUMENTS_MAX  64

extern char **environ;

struct setting {
    const struct setting *next; /* those found later are in front: they win */
    const char *profile;
    const char *key; /* NULL: says only that the profile exists */
    const char *value;
};

struct s3_profiles {
    const struct setting *first;
};

/* --- reading --- */

static enum mr_status add(struct mr_arena *arena, struct s3_profiles *profiles, const char *profile,
                          const char *key, const char *value, struct mr_error *err)
{
    struct setting *setting = mr_arena_alloc(arena, sizeof *setting);
    if (!setting)
        return mr_error_nomem(err);
    *setting = (struct setting){profiles->first, profile, key, value};
    profiles->first = setting;
    return MR_OK;
}

static char *trim(char *text)
{
    while (*text == ' ' || *text == '\t')
        text++;
    size_t size = strlen(text);
    while (size > 0 && strchr(" \t\r\n", text[size - 1]))
        text[--size] = '\0';
    return text;
}

/* "[profile x]" -> "x"; NULL for sections of other kinds. */
static const char *section_name(char *line, bool config)
{
    char *end = strchr(line, ']');
    if (!end)
        return NULL;
    *end = '\0';
    char *name = trim(line + 1);
    if (!config || strcmp(name, "default") == 0)
        return name;
    return strncmp(name, "profile", 7) == 0 && (name[7] == ' ' || name[7] == '\t') ? trim(name + 7)
                                                                                   : NULL;
}

static enum mr_status read_ini(struct mr_arena *arena, struct s3_profiles *profiles, char *text,
                               bool config, struct mr_error *err)
{
    const char *profile = NULL;
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        bool nested = *line == ' ' || *line == '\t';
        line = trim(line);
        if (*line == '\0' || *line == '#' || *line == ';')
            continue;
        if (*line == '[') {
            profile = section_name(line, config);
            if (profile)
                MR_TRY(add(arena, profiles, profile, NULL, NULL, err));
            continue;
        }
        char *equals = strchr(line, '=');
        if (!profile || !equals || nested)
            continue;
        *equals = '\0';
        MR_TRY(add(arena, profiles, profile, trim(line), trim(equals + 1), err));
    }
    return MR_OK;
}

static enum mr_status read_one(struct mr_arena *arena, struct s3_profiles *profiles,
                               const char *variable, const char *name, struct mr_error *err)
{
    const char *path = s3_env(variable);
    const char *home = s3_env("HOME");
    const char *text;
    if (!path && home)
        path = mr_arena_printf(arena, "%s/.aws/%s", home, name);
    if (!path || access(path, R_OK) != 0)
        return MR_OK;
    MR_TRY(s3_read_small(arena, path, &text, err));
    return read_ini(arena, profiles, (char *)(uintptr_t)text, strcmp(name, "config") == 0, err);
}

enum mr_status s3_profiles_read(struct mr_arena *arena, const struct s3_profiles **out,
                                struct mr_error *err)
{
    struct s3_profiles *profiles = mr_arena_calloc(arena, 1, sizeof *profiles);
    if (!profiles)
        return mr_error_nomem(err);
    MR_TRY(read_one(arena, profiles, "AWS_CONFIG_FILE", "config", err));
    MR_TRY(read_one(arena, profiles, "AWS_SHARED_CREDENTIALS_FILE", "credentials", err));
    *out = profiles;
    return MR_OK;
}

const char *s3_profile_value(const struct s3_profiles *profiles, const char *profile,
                             const char *key)
{
    for (const struct setting *at = profiles->first; at; at = at->next)
        if (at->key && strcmp(at->profile, profile) == 0 && strcmp(at->key, key) == 0)
            return *at->value ? at->value : NULL;
    return NULL;
}

bool s3_profile_exists(const struct s3_profiles *profiles, const char *profile)
{
    for (const struct setting *at = profiles->first; at; at = at->next)
        if (strcmp(at->profile, profile) == 0)
            return true;
    return false;
}

/* --- commands --- */

/* Words of a command line, by blanks and quotes, as shlex splits them. */
static int split_words(char *text, char **words)
{
    int count = 0;
    char *to = text;
    for (char *at = text; *at && count < ARGUMENTS_MAX;) {
        while (*at == ' ' || *at == '\t')
            at++;
        if (!*at)
            break;
        words[count++] = to;
        for (char quote = '\0'; *at && (quote || (*at != ' ' && *at != '\t')); at++) {
            if (quote ? *at == quote : (*at == '"' || *at == '\'')) {
                quote = quote ? '\0' : *at;
                continue;
            }
            if (*at == '\\' && quote != '\'' && at[1])
                at++;
            *to++ = *at;
        }
        if (*at)
            at++;
        *to++ = '\0';
    }
    words[count] = NULL;
    return count;
}

static enum mr_status read_pipe(struct s3_chain *chain, int fd, struct mr_bytes *out,
                                struct mr_error *err)
{
    int64_t deadline = mr_clock_monotonic_micros() + PROCESS_MICROS;
    for (;;) {
        bool timed_out;
        MR_TRY(mr_wait(chain->waiter, fd, MR_WAIT_READ, deadline, MR_WAIT_SOURCE, &timed_out, err));
        if (timed_out)
            return mr_error_set(err, MR_CREDENTIALS, MR_CLASS_CONFIG,
                                "credential_process took longer than a minute");
        char *room = mr_bytes_reserve(out, 4096);
        if (!room)
            return mr_bytes_status(out, err);
        ssize_t n = read(fd, room, 4096);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0)
            return MR_OK;
        out->size += (size_t)n;
    }
}

/* Sets its input and errors to /dev/null: what it says there may be secret. */
static int spawn(char **words, int output, pid_t *child)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_init(&attributes);
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    int failed = posix_spawnp(child, words[0], &actions, &attributes, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return failed;
}

static void end_child(pid_t child)
{
    kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* Its output has ended, so it is about to end too; if not, that is an error. */
static enum mr_status reap(struct s3_chain *chain, pid_t child, int *code, struct mr_error *err)
{
    for (int i = 0; i < REAP_STEPS; i++) {
        pid_t ended = waitpid(child, code, WNOHANG);
        if (ended == child)
            return MR_OK;
        if (ended < 0 && errno != EINTR)
            return mr_error_errno(err, MR_CREDENTIALS, errno, "waitpid");
        MR_TRY(mr_wait(chain->waiter, -1, 0, mr_clock_monotonic_micros() + REAP_MICROS,
                       MR_WAIT_SOURCE, NULL, err));
    }
    return mr_error_set(err, MR_CREDENTIALS, MR_CLASS_CONFIG,
                        "credential_process closed its output and does not end");
}

enum mr_status s3_run_process(struct s3_chain *chain, const char *command, const char **out,
                              struct mr_error *err)
{
    char *words[ARGUMENTS_MAX + 1];
    char *line = mr_arena_strdup(chain->arena, command);
    int ends[2], code = 0;
    pid_t child;
    struct mr_bytes output;
    if (!line)
        return mr_error_nomem(err);
    if (split_words(line, words) == 0)
        return mr_error_set(err, MR_CREDENTIALS, MR_CLASS_CONFIG, "credential_process is empty");
    if (pipe2(ends, O_CLOEXEC) != 0)
        return mr_error_errno(err, MR_LIMIT, errno, "pipe");
    int failed = spawn(words, ends[1], &child);
    close(ends[1]);
    if (failed) {
        close(ends[0]);
        return mr_error_errno(err, MR_CREDENTIALS, failed, "credential_process: cannot run %s",
                              words[0]);
    }
    mr_bytes_init(&output, 1 << 20);
    enum mr_status status = read_pipe(chain, ends[0], &output, err);
    close(ends[0]);
    if (status == MR_OK)
        status = reap(chain, child, &code, err);
    if (status != MR_OK)
        end_child(child);
    if (status == MR_OK && code != 0)
        status = mr_error_set(err, MR_CREDENTIALS, MR_CLASS_CONFIG,
                              "credential_process: %s ended with code %d", words[0],
                              WIFEXITED(code) ? WEXITSTATUS(code) : 128 + WTERMSIG(code));
    if (status == MR_OK) {
        *out = mr_arena_strndup(chain->arena, output.data, output.size);
        status = *out ? MR_OK : mr_error_nomem(err);
    }
    if (output.data)
        explicit_bzero(output.data, output.size);
    mr_bytes_reset(&output);
    return status;
}

/* --- profiles --- */

static const char *get(const struct s3_chain *chain, const char *profile, const char *key)
{
    return s3_profile_value(chain->profiles, profile, key);
}

static enum mr_status from_keys(struct s3_chain *chain, const char *profile,
                                const struct s3_credentials **out, struct mr_error *err)
{
    const char *access = get(chain, profile, "aws_access_key_id");
    if (access)
        return s3_credentials_new(access, get(chain, profile, "aws_secret_access_key"),
                                  get(chain, profile, "aws_session_token"), INT64_MAX,
                                  "the shared credentials file", out, err);
    const char *command = get(chain, profile, "credential_process");
    const char *text;
    if (!command)
        return MR_OK;
    MR_TRY(s3_run_process(chain, command, &text, err));
    return s3_credentials_from_json(mr_slice_of(text), "credential_process", out, err);
}

static enum mr_status from_source(struct s3_chain *chain, const char *profile, const char *source,
                                  const struct s3_credentials **out, struct mr_error *err)
{
    if (strcmp(source, "Environment") == 0)
        MR_TRY(s3_from_environment(chain, out, err));
    else if (strcmp(source, "EcsContainer") == 0)
        MR_TRY(s3_from_container(chain, out, err));
    else if (strcmp(source, "Ec2InstanceMetadata") == 0)
        MR_TRY(s3_from_instance(chain, out, err));
    if (*out)
        return MR_OK;
    return mr_error_set(err, MR_CREDENTIALS, MR_CLASS_CONFIG,
                        "profile %s: credential_source %s has no credentials", profile, source);
}

static enum mr_status from_named(struct s3_chain *chain, const char *profile, int depth,
                                 const struct s3_credentials **out, struct mr_error *err);

static enum mr_status with_role(struct s3_chain *chain, const char *profile, const char *arn,
                                int depth, const struct s3_credentials **out, struct mr_error *err)
{
    struct s3_role role = {
        .arn = arn,
        .session = get(chain, profile, "role_session_name"),
        .external_id = get(chain, profile, "external_id"),
        .duration = get(chain, profile, "duration_seconds"),
        .origin = "the role of a profile",
    };
    const char *token_file = get(chain, profile, "web_identity_token_file");
    const char *source = get(chain, profile, "source_profile");
    const char *place = get(chain, profile, "credential_source");
    const struct s3_credentials *with = NULL;
    if (get(chain, profile, "mfa_serial"))
        return mr_error_set(err, MR_CREDENTIALS, MR_CLASS_CONFIG,
                            "profile %s wants a code of a device (mfa_serial), for which nobody is "
                            "here",
                            profile);
    if (token_file) {
        MR_TRY(s3_read_small(chain->arena, token_file, &role.token, err));
        return s3_assume_role(chain, &role, NULL, out, err);
    }
    if (place) {
        MR_TRY(from_source(chain, profile, place, &with, err));
    } else if (source && strcmp(source, profile) == 0) {
        MR_TRY(from_keys(chain, profile, &with, err));
    } else if (source) {
        MR_TRY(from_named(chain, source, depth + 1, &with, err));
    }
    if (!with)
        return mr_error_set(err, MR_CREDENTIALS, MR_CLASS_CONFIG,
                            "profile %s has role_arn, and no source_profile or credential_source "
                            "with keys to assume it",
                            profile);
    enum mr_status status = s3_assume_role(chain, &role, with, out, err);
    s3_credentials_unref(with);
    return status;
}

static enum mr_status from_named(struct s3_chain *chain, const char *profile, int depth,
                                 const struct s3_credentials **out, struct mr_error *err)
{
    if (depth == ROLES_MAX)
        return mr_error_set(err, MR_CREDENTIALS, MR_CLASS_CONFIG,
                            "profile %s: source_profile leads through more than %d profiles",
                            profile, ROLES_MAX);
    const char *arn = get(chain, profile, "role_arn");
    if (arn)
        return with_role(chain, profile, arn, depth, out, err);
    MR_TRY(from_keys(chain, profile, out, err));
    if (*out)
        return MR_OK;
    if (get(chain, profile, "sso_session") || get(chain, profile, "sso_start_url")) {
        mr_error_set(err, MR_CREDENTIALS, MR_CLASS_CONFIG,
                     "profile %s signs in with a browser (sso), which is not built", profile);
        mr_error_hint(err,
                      "add credential_process = aws configure export-credentials --profile %s "
                      "to another profile and use that one",
                      profile);
        return MR_CREDENTIALS;
    }
    return MR_OK;
}

enum mr_status s3_from_profile(struct s3_chain *chain, const struct s3_credentials **out,
                               struct mr_error *err)
{
    const char *profile = chain->profile;
    if (!s3_profile_exists(chain->profiles, profile)) {
        bool asked = chain->options->profile || s3_env("AWS_PROFILE");
        if (!asked) {
            s3_chain_tried(chain, "configuration files (no profile %s)", profile);
            return MR_OK;
        }
        mr_error_set(err, MR_CREDENTIALS, MR_CLASS_CONFIG,
                     "there is no profile %s in the configuration files of AWS", profile);
        mr_error_hint(err, "they are ~/.aws/config and ~/.aws/credentials, or what AWS_CONFIG_FILE "
                           "and AWS_SHARED_CREDENTIALS_FILE name");
        return MR_CREDENTIALS;
    }
    MR_TRY(from_named(chain, profile, 0, out, err));
    if (!*out)
        s3_chain_tried(chain, "configuration files (profile %s has no keys)", profile);
    return MR_OK;
}
