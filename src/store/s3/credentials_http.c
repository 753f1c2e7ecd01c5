/*
 * credentials_http.c - keys from services: STS, the container's, the instance's.
 *
 * The instance's service (169.254.169.254) is asked last and with a second of patience, since most
 * machines that are not instances have nothing there. A token is fetched first (IMDSv2); the
 * older way without one, which a server-side request forgery can use, is not built. Services on
 * link-local addresses are never asked through a proxy.
 */
#include "base/text.h"
#include "base/time.h"
#include "store/s3/credentials_private.h"
#include "store/s3/sigv4.h"
#include "store/s3/xml.h"

#include <jansson.h>
#include <stdio.h>
#include <strings.h>

#define ANSWER_MAX ((size_t)1 << 18)

static const struct mr_retry several = {.attempts = 4,
                                        .delay_micros = 200000,
                                        .max_delay_micros = 5000000,
                                        .multiplier = 2,
                                        .jitter = true};
static const struct mr_retry twice = {.attempts = 2, .delay_micros = 200000};

struct asking {
    bool local; /* a link-local service: no proxy, little patience */
    const struct mr_retry *retry;
};

static enum mr_status ask(struct s3_chain *chain, const struct asking *asking,
                          const struct mr_http_request *request, struct mr_http_answer *answer,
                          struct mr_error *err)
{
    struct mr_http_options options = {
        .ca_file = chain->options->ca_file ? chain->options->ca_file : s3_env("AWS_CA_BUNDLE"),
        .proxy = asking->local ? "" : chain->options->proxy,
        .connect_timeout_micros = asking->local ? 1000000 : 5000000,
        .status = MR_CREDENTIALS,
        .cause = MR_WAIT_SOURCE,
    };
    struct mr_http *http;
    MR_TRY(mr_http_new(&options, chain->waiter, &http, err));
    struct mr_http_request sent = *request;
    sent.answer_max = ANSWER_MAX;
    if (sent.timeout_micros == 0)
        sent.timeout_micros = asking->local ? 2000000 : 20000000;
    enum mr_status status = mr_http_send(http, &sent, asking->retry, answer, err);
    mr_http_free(http);
    return status;
}

static struct mr_slice body_of(const struct mr_http_answer *answer)
{
    return (struct mr_slice){answer->body.data ? answer->body.data : "", answer->body.size};
}

/* --- JSON --- */

static const char *text_of(const json_t *root, const char *key)
{
    return json_string_value(json_object_get(root, key));
}

enum mr_status s3_credentials_from_json(struct mr_slice text, const char *origin,
                                        const struct s3_credentials **out, struct mr_error *err)
{
    json_t *root = json_loadb(text.data, text.size, 0, NULL);
    const char *access = text_of(root, "AccessKeyId");
    const char *token = text_of(root, "SessionToken");
    const char *expiration = text_of(root, "Expiration");
    int64_t expires = INT64_MAX;
    enum mr_status status;
    if (!access)
        status = mr_error_set(err, MR_CREDENTIALS, MR_CLASS_CONFIG,
                              "%s: the answer holds no AccessKeyId", origin);
    else if (expiration && !s3_time_parse(expiration, &expires))
        status = mr_error_set(err, MR_CREDENTIALS, MR_CLASS_CONFIG,
                              "%s: the Expiration is not a time", origin);
    else
        status =
            s3_credentials_new(access, text_of(root, "SecretAccessKey"),
                               token ? token : text_of(root, "Token"), expires, origin, out, err);
    json_decref(root);
    return status;
}

/* --- STS --- */

struct sts_answer {
    struct mr_arena *arena;
    const char *access;
    const char *secret;
    const char *token;
    const char *expiration;
    const char *code;
    const char *message;
};

static enum mr_status take_sts(void *context, const char *parent, const char *name,
                               struct mr_slice text, struct mr_error *err)
{
    struct sts_answer *answer = context;
    static const char *const names[] = {"AccessKeyId",  "SecretAccessKey",
                                        "SessionToken", "Expiration",
                                        "Code",         "Message"};
    const char **const places[] = {&answer->access,     &answer->secret, &answer->token,
                                   &answer->expiration, &answer->code,   &answer->message};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i], name) != 0 || strcmp(parent, i < 4 ? "Credentials" : "Error") != 0)
            continue;
        *places[i] = mr_arena_strndup(answer->arena, text.data, text.size);
        if (!*places[i])
            return mr_error_nomem(err);
    }
    return MR_OK;
}

static const char *sts_url(struct s3_chain *chain)
{
    const char *given = s3_env("AWS_ENDPOINT_URL_STS");
    if (!given)
        given = s3_env("AWS_ENDPOINT_URL");
    if (given) {
        size_t size = strlen(given);
        while (size > 0 && given[size - 1] == '/')
            size--;
        return mr_arena_printf(chain->arena, "%.*s/", (int)size, given);
    }
    const char *china = strncmp(chain->region, "cn-", 3) == 0 ? ".cn" : "";
    return mr_arena_printf(chain->arena, "https://sts.%s.amazonaws.com%s/", chain->region, china);
}

static void add_field(struct mr_bytes *body, const char *name, const char *value)
{
    if (!value)
        return;
    mr_bytes_printf(body, "&%s=", name);
    sigv4_encode(body, mr_slice_of(value), false);
}

static enum mr_status sign_sts(struct s3_chain *chain, const char *url, struct mr_slice body,
                               const struct s3_credentials *with, const char **headers,
                               struct mr_error *err)
{
    char date[SIGV4_DATE_SIZE], hash[SIGV4_HASH_SIZE];
    const char *host = strstr(url, "://") + 3;
    struct mr_bytes value;
    struct sigv4_pair pairs[4] = {
        {"content-type", "application/x-www-form-urlencoded"},
        {"host", mr_arena_strndup(chain->arena, host, strcspn(host, "/"))},
        {"x-amz-date", date},
        {"x-amz-security-token", with->session_token},
    };
    if (!pairs[1].value)
        return mr_error_nomem(err);
    sigv4_date(mr_clock_wall_micros(), date);
    sigv4_hash(body, hash);
    struct sigv4_request request = {.method = "POST",
                                    .path = mr_slice_of("/"),
                                    .headers = pairs,
                                    .nheaders = with->session_token ? 4 : 3,
                                    .payload_hash = hash,
                                    .date = date,
                                    .normalize = true,
                                    .double_encode = true};
    struct sigv4_key key = {with->access_key, with->secret_key, chain->region, "sts"};
    mr_bytes_init(&value, 1 << 16);
    enum mr_status status = sigv4_sign(&request, &key, &value, err);
    if (status == MR_OK) {
        headers[1] = mr_arena_printf(chain->arena, "X-Amz-Date: %s", date);
        headers[2] = mr_arena_printf(chain->arena, "Authorization: %s", value.data);
        headers[3] = with->session_token ? mr_arena_printf(chain->arena, "X-Amz-Security-Token: %s",
                                                           with->session_token)
                                         : NULL;
        if (!headers[1] || !headers[2])
            status = mr_error_nomem(err);
    }
    mr_bytes_reset(&value);
    return status;
}

static enum mr_status judge_sts(struct s3_chain *chain, const struct s3_role *role,
                                const struct mr_http_answer *answer,
                                const struct s3_credentials **out, struct mr_error *err)
{
    struct sts_answer fields = {.arena = chain->arena};
    const struct s3_xml reader = {take_sts, &fields};
    int64_t expires = INT64_MAX;
    enum mr_status status = s3_xml_read(body_of(answer), &reader, NULL);
    if (status == MR_NOMEM)
        return mr_error_nomem(err);
    if (answer->status == 200 && fields.access && s3_time_parse(fields.expiration, &expires))
        return s3_credentials_new(fields.access, fields.secret, fields.token, expires, role->origin,
                                  out, err);
    mr_error_set(err, MR_CREDENTIALS, answer->status >= 500 ? MR_CLASS_TRANSIENT : MR_CLASS_CONFIG,
                 "STS does not let us assume %s: %s: %s (HTTP %d)", role->arn,
                 fields.code ? fields.code : "no reason given",
                 fields.message ? fields.message : "", answer->status);
    mr_error_hint(err, "the role's trust policy must allow this identity");
    return MR_CREDENTIALS;
}

enum mr_status s3_assume_role(struct s3_chain *chain, const struct s3_role *role,
                              const struct s3_credentials *with, const struct s3_credentials **out,
                              struct mr_error *err)
{
    const char *headers[5] = {"Content-Type: application/x-www-form-urlencoded"};
    const char *url = sts_url(chain);
    struct mr_http_answer answer;
    struct mr_bytes body;
    mr_bytes_init(&body, 1 << 20);
    mr_http_answer_init(&answer);
    mr_bytes_printf(&body, "Action=%s&Version=2011-06-15",
                    with ? "AssumeRole" : "AssumeRoleWithWebIdentity");
    add_field(&body, "RoleArn", role->arn);
    add_field(&body, "RoleSessionName", role->session ? role->session : "millrace");
    add_field(&body, "ExternalId", role->external_id);
    add_field(&body, "DurationSeconds", role->duration);
    if (!with) {
        char *token = mr_arena_strdup(chain->arena, role->token);
        if (token) /* the file may end in a line break */
            token[strcspn(token, "\r\n")] = '\0';
        add_field(&body, "WebIdentityToken", token);
    }
    struct mr_slice text = {body.data, body.size};
    enum mr_status status = url ? mr_bytes_status(&body, err) : mr_error_nomem(err);
    if (status == MR_OK && with)
        status = sign_sts(chain, url, text, with, headers, err);
    if (status == MR_OK) {
        struct mr_http_request request = {
            .method = "POST", .url = url, .headers = headers, .body = text, .repeatable = true};
        struct asking asking = {.retry = &several};
        status = ask(chain, &asking, &request, &answer, err);
    }
    if (status == MR_OK)
        status = judge_sts(chain, role, &answer, out, err);
    if (body.data)
        explicit_bzero(body.data, body.size);
    mr_bytes_reset(&body);
    mr_http_answer_reset(&answer);
    return status;
}

enum mr_status s3_from_web_identity(struct s3_chain *chain, const struct s3_credentials **out,
                                    struct mr_error *err)
{
    const char *file = s3_env("AWS_WEB_IDENTITY_TOKEN_FILE");
    struct s3_role role = {.arn = s3_env("AWS_ROLE_ARN"),
                           .session = s3_env("AWS_ROLE_SESSION_NAME"),
                           .origin = "the web identity"};
    if (!file || !role.arn) {
        s3_chain_tried(chain, "web identity (AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN are not "
                              "both set)");
        return MR_OK;
    }
    MR_TRY(s3_read_small(chain->arena, file, &role.token, err));
    return s3_assume_role(chain, &role, NULL, out, err);
}

/* --- the container's service --- */

/* Plain HTTP only to where it cannot leave the machine. */
static bool may_be_asked(const char *url)
{
    static const char *const hosts[] = {"localhost",     "127.0.0.1",      "[::1]",
                                        "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"};
    if (strncasecmp(url, "https://", 8) == 0)
        return true;
    if (strncasecmp(url, "http://", 7) != 0)
        return false;
    const char *host = url + 7;
    size_t size = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
        if (strlen(hosts[i]) == size && strncasecmp(host, hosts[i], size) == 0)
            return true;
    return false;
}

static enum mr_status container_token(struct s3_chain *chain, const char **headers,
                                      struct mr_error *err)
{
    const char *file = s3_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *token = s3_env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    if (file)
        MR_TRY(s3_read_small(chain->arena, file, &token, err));
    if (!token)
        return MR_OK;
    headers[0] =
        mr_arena_printf(chain->arena, "Authorization: %.*s", (int)strcspn(token, "\r\n"), token);
    return headers[0] ? MR_OK : mr_error_nomem(err);
}

static enum mr_status take_json(const struct mr_http_answer *answer, const char *origin,
                                const struct s3_credentials **out, struct mr_error *err)
{
    if (answer->status == 200)
        return s3_credentials_from_json(body_of(answer), origin, out, err);
    return mr_error_set(err, MR_CREDENTIALS,
                        answer->status >= 500 ? MR_CLASS_TRANSIENT : MR_CLASS_CONFIG,
                        "%s gives no credentials: HTTP %d", origin, answer->status);
}

enum mr_status s3_from_container(struct s3_chain *chain, const struct s3_credentials **out,
                                 struct mr_error *err)
{
    const char *relative = s3_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *url = s3_env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    const char *headers[2] = {NULL};
    struct mr_http_answer answer;
    if (relative)
        url = mr_arena_printf(chain->arena, "http://169.254.170.2%s", relative);
    if (!url) {
        s3_chain_tried(chain, "container (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and ..._FULL_URI "
                              "are not set)");
        return MR_OK;
    }
    if (!may_be_asked(url))
        return mr_error_set(err, MR_CREDENTIALS, MR_CLASS_CONFIG,
                            "AWS_CONTAINER_CREDENTIALS_FULL_URI must be https, or http to this "
                            "machine");
    MR_TRY(container_token(chain, headers, err));
    mr_http_answer_init(&answer);
    struct mr_http_request request = {.method = "GET", .url = url, .headers = headers};
    struct asking asking = {.local = strncasecmp(url, "http:", 5) == 0, .retry = &several};
    enum mr_status status = ask(chain, &asking, &request, &answer, err);
    if (status == MR_OK)
        status = take_json(&answer, "the container's service", out, err);
    mr_http_answer_reset(&answer);
    return status;
}

/* --- the instance's service --- */

static const char *first_line(struct s3_chain *chain, const struct mr_http_answer *answer)
{
    struct mr_slice body = body_of(answer);
    size_t size = 0;
    while (size < body.size && (unsigned char)body.data[size] > ' ')
        size++;
    return mr_arena_strndup(chain->arena, body.data, size);
}

/* A small GET with the token; *text is its first line. */
static enum mr_status instance_get(struct s3_chain *chain, const char *url, const char *token,
                                   struct mr_http_answer *answer, struct mr_error *err)
{
    const char *headers[2] = {mr_arena_printf(chain->arena, "X-aws-ec2-metadata-token: %s", token),
                              NULL};
    struct mr_http_request request = {.method = "GET", .url = url, .headers = headers};
    struct asking asking = {.local = true, .retry = &several};
    if (!headers[0] || !url)
        return mr_error_nomem(err);
    return ask(chain, &asking, &request, answer, err);
}

static enum mr_status instance_keys(struct s3_chain *chain, const char *base, const char *token,
                                    struct mr_http_answer *answer,
                                    const struct s3_credentials **out, struct mr_error *err)
{
    static const char path[] = "latest/meta-data/iam/security-credentials/";
    const char *url = mr_arena_printf(chain->arena, "%s/%s", base, path);
    MR_TRY(instance_get(chain, url, token, answer, err));
    if (answer->status == 404) {
        s3_chain_tried(chain, "instance (it has no role)");
        return MR_OK;
    }
    if (answer->status != 200)
        return take_json(answer, "the instance's service", out, err);
    const char *role = first_line(chain, answer);
    url = role ? mr_arena_printf(chain->arena, "%s/%s%s", base, path, role) : NULL;
    MR_TRY(instance_get(chain, url, token, answer, err));
    return take_json(answer, "the instance's service", out, err);
}

enum mr_status s3_from_instance(struct s3_chain *chain, const struct s3_credentials **out,
                                struct mr_error *err)
{
    const char *disabled = s3_env("AWS_EC2_METADATA_DISABLED");
    const char *given = s3_env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    struct mr_http_answer answer;
    struct mr_error ignored = {0};
    if (disabled && mr_text_equal_nocase(disabled, "true")) {
        s3_chain_tried(chain, "instance (AWS_EC2_METADATA_DISABLED)");
        return MR_OK;
    }
    const char *base = given ? given : "http://169.254.169.254";
    base = mr_arena_strndup(chain->arena, base, strlen(base) - (base[strlen(base) - 1] == '/'));
    const char *url = base ? mr_arena_printf(chain->arena, "%s/latest/api/token", base) : NULL;
    if (!url)
        return mr_error_nomem(err);
    mr_http_answer_init(&answer);
    struct mr_http_request request = {
        .method = "PUT",
        .url = url,
        .headers = (const char *const[]){"X-aws-ec2-metadata-token-ttl-seconds: 21600", NULL}};
    struct asking asking = {.local = true, .retry = &twice};
    enum mr_status status = ask(chain, &asking, &request, &answer, &ignored);
    if (status == MR_CANCELLED || status == MR_NOMEM) {
        if (err)
            *err = ignored;
    } else if (status != MR_OK || answer.status != 200) {
        s3_chain_tried(chain, "instance (no service answers at %s)", base);
        status = MR_OK;
    } else {
        const char *token = first_line(chain, &answer);
        status = token ? instance_keys(chain, base, token, &answer, out, err) : mr_error_nomem(err);
    }
    mr_http_answer_reset(&answer);
    return status;
}
