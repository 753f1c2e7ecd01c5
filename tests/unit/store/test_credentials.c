/*
 * test_credentials.c - the chain of places that may have keys, against a server on this machine that answers by
 * a script: STS, the container's service, the instance's.
 */
#include "base/thread.h"
#include "base/time.h"
#include "store/s3/credentials.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* One connection each reply. */
struct server {
    const char *const *script;
    int listener;
    int port;
    struct mr_thread thread;
    char seen[8][4096];
    int nseen;
};

static void serve(void *context)
{
    struct server *server = context;
    for (int i = 0; server->script[i]; i++) {
        int fd = accept(server->listener, NULL, NULL);
        if (fd < 0)
            return;
        char *seen = server->seen[server->nseen++], head[256];
        size_t size = 0;
        const char *body = NULL, *length;
        while (!body || !(length = strstr(seen, "Content-Length: ")) ||
               size < (size_t)(body + 4 - seen) + (size_t)atoi(length + 16)) {
            ssize_t n = read(fd, seen + size, sizeof server->seen[0] - 1 - size);
            if (n <= 0)
                break;
            seen[size += (size_t)n] = '\0';
            body = strstr(seen, "\r\n\r\n");
            if (body && !strstr(seen, "Content-Length: "))
                break;
        }
        const char *reply = server->script[i];
        int code = atoi(reply);
        int n = snprintf(head, sizeof head,
                         "HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n", code,
                         strlen(reply + 4));
        if (write(fd, head, (size_t)n) < 0 || write(fd, reply + 4, strlen(reply + 4)) < 0)
            size = 0;
        close(fd);
    }
}

static void start(struct server *server, const char *const *script)
{
    memset(server, 0, sizeof *server);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    struct mr_error err;
    server->script = script;
    server->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server->listener, 8), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &size), 0);
    server->port = ntohs(address.sin_port);
    assert_int_equal(mr_thread_start(&server->thread, "server", serve, server, &err), MR_OK);
}

static void stop(struct server *server)
{
    shutdown(server->listener, SHUT_RDWR);
    mr_thread_join(&server->thread);
    close(server->listener);
}

static char directory[] = "/tmp/millrace-credentials-XXXXXX";
static struct mr_waiter waiter;
static struct mr_error err;

static const char *file(const char *name, const char *text)
{
    static char paths[4][300];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
    return path;
}

static void set_url(const char *variable, const struct server *server, const char *path)
{
    char url[200];
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", server->port, path);
    setenv(variable, url, 1);
}

static int clean(void **state)
{
    (void)state;
    static const char *const names[] = {"AWS_ACCESS_KEY_ID",
                                        "AWS_SECRET_ACCESS_KEY",
                                        "AWS_SESSION_TOKEN",
                                        "AWS_WEB_IDENTITY_TOKEN_FILE",
                                        "AWS_ROLE_ARN",
                                        "AWS_ROLE_SESSION_NAME",
                                        "AWS_PROFILE",
                                        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                                        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                                        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
                                        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                                        "AWS_ENDPOINT_URL",
                                        "AWS_ENDPOINT_URL_STS",
                                        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
                                        "AWS_REGION",
                                        "AWS_DEFAULT_REGION",
                                        NULL};
    for (int i = 0; names[i]; i++)
        unsetenv(names[i]);
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    setenv("AWS_CONFIG_FILE", "/nonexistent", 1);
    setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent", 1);
    setenv("no_proxy", "127.0.0.1", 1);
    waiter = mr_waiter_plain();
    memset(&err, 0, sizeof err);
    return 0;
}

static enum mr_status fetch(const struct s3_credentials_options *options,
                            const struct s3_credentials **out)
{
    struct s3_provider *provider;
    enum mr_status status = s3_provider_new(options, &provider, &err);
    assert_int_equal(status, MR_OK);
    status = s3_provider_get(provider, &waiter, out, &err);
    s3_provider_free(provider);
    return status;
}

static void expect(const struct s3_credentials_options *options, const char *access,
                   const char *secret, const char *token)
{
    const struct s3_credentials *got;
    if (fetch(options, &got) != MR_OK)
        fail_msg("%s", err.message);
    assert_string_equal(got->access_key, access);
    assert_string_equal(got->secret_key, secret);
    if (token)
        assert_string_equal(got->session_token, token);
    else
        assert_null(got->session_token);
    s3_credentials_unref(got);
}

static void expect_failure(const struct s3_credentials_options *options, const char *words)
{
    const struct s3_credentials *got;
    assert_int_equal(fetch(options, &got), MR_CREDENTIALS);
    if (!strstr(err.message, words))
        fail_msg("'%s' is not in: %s", words, err.message);
}

static const struct s3_credentials_options nothing;

static void test_order(void **state)
{
    (void)state;
    const struct s3_credentials *got;
    expect_failure(&nothing, "no S3 credentials found");
    assert_non_null(strstr(err.message, "AWS_ACCESS_KEY_ID is not set"));
    assert_non_null(strstr(err.message, "no profile default"));
    assert_non_null(strstr(err.message, "AWS_EC2_METADATA_DISABLED"));
    assert_true(err.hint[0] != '\0');
    setenv("AWS_SHARED_CREDENTIALS_FILE",
           file("credentials", "[default]\naws_access_key_id = F\naws_secret_access_key=f=\n"), 1);
    expect(&nothing, "F", "f=", NULL);
    setenv("AWS_ACCESS_KEY_ID", "E", 1);
    expect_failure(&nothing, "AWS_SECRET_ACCESS_KEY is not");
    setenv("AWS_SECRET_ACCESS_KEY", "e", 1);
    setenv("AWS_SESSION_TOKEN", "t", 1);
    expect(&nothing, "E", "e", "t");
    const struct s3_credentials_options given = {.access_key = "O", .secret_key = "o"};
    expect(&given, "O", "o", NULL);
    const struct s3_credentials_options half = {.access_key = "O"};
    expect_failure(&half, "without secretKey");
    const struct s3_credentials_options anonymous = {.anonymous = true};
    assert_int_equal(fetch(&anonymous, &got), MR_OK);
    assert_null(got);
}

static void test_profiles(void **state)
{
    (void)state;
    setenv("AWS_CONFIG_FILE",
           file("config",
                "# x\n[profile p]\nregion = r-1\naws_access_key_id = C\ns3 =\n"
                "  max = 3\naws_secret_access_key = c\n[profile proc]\n"
                "credential_process = /bin/echo '{\"Version\": 1, \"AccessKeyId\": \"X\", "
                "\"SecretAccessKey\": \"x y\", \"SessionToken\": \"z\"}'\n"
                "[profile bad]\ncredential_process = /bin/false\n"
                "[profile sso]\nsso_session = s\n[profile loop]\nrole_arn = a\n"
                "source_profile = loop2\n[profile loop2]\nrole_arn = a\n"
                "source_profile = loop\n[sso-session p]\naws_access_key_id = NO\n"),
           1);
    const struct s3_credentials_options p = {.profile = "p"}, proc = {.profile = "proc"},
                                        bad = {.profile = "bad"}, sso = {.profile = "sso"},
                                        loop = {.profile = "loop"}, none = {.profile = "none"};
    struct s3_provider *provider;
    /* A profile that the step names goes before the environment. */
    setenv("AWS_ACCESS_KEY_ID", "E", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "e", 1);
    expect(&p, "C", "c", NULL);
    expect(&proc, "X", "x y", "z");
    expect_failure(&bad, "ended with code 1");
    expect_failure(&sso, "sso");
    expect_failure(&loop, "source_profile leads through");
    expect_failure(&none, "no profile none");
    assert_int_equal(s3_provider_new(&p, &provider, &err), MR_OK);
    assert_string_equal(s3_provider_region(provider), "r-1");
    s3_provider_free(provider);
}

#define STS_REPLY                                                                                  \
    "200 <AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>S</AccessKeyId>"          \
    "<SecretAccessKey>s</SecretAccessKey><SessionToken>st</SessionToken><Expiration>"              \
    "2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"

static void test_roles(void **state)
{
    (void)state;
    struct server server;
    start(&server, (const char *const[]){STS_REPLY, "500 ", STS_REPLY,
                                         "403 <ErrorResponse><Error><Code>AccessDenied</Code>"
                                         "<Message>no</Message></Error></ErrorResponse>",
                                         NULL});
    set_url("AWS_ENDPOINT_URL_STS", &server, "");
    setenv("AWS_CONFIG_FILE",
           file("config", "[profile r]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = base\n"
                          "external_id = e x\n[profile base]\naws_access_key_id = B\n"
                          "aws_secret_access_key = b\n"),
           1);
    const struct s3_credentials_options r = {.profile = "r"};
    expect(&r, "S", "s", "st");
    /* The token of a web identity is sent unsigned, as it stands in the file without its line break. */
    setenv("AWS_WEB_IDENTITY_TOKEN_FILE", file("token", "ey.j+w\n"), 1);
    setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/w", 1);
    expect(&nothing, "S", "s", "st");
    expect_failure(&nothing, "AccessDenied");
    assert_null(strstr(err.message, "ey.j"));
    stop(&server);
    assert_non_null(strstr(server.seen[0], "Credential=B/"));
    assert_non_null(strstr(server.seen[0], "&ExternalId=e%20x"));
    assert_non_null(strstr(server.seen[0], "Action=AssumeRole&"));
    assert_non_null(strstr(server.seen[1], "&WebIdentityToken=ey.j%2Bw"));
    assert_null(strstr(server.seen[1], "%0A"));
    assert_null(strstr(server.seen[1], "Authorization"));
}

#define JSON_REPLY                                                                                 \
    "200 {\"AccessKeyId\": \"J\", \"SecretAccessKey\": \"j\", \"Token\": \"jt\", "                 \
    "\"Expiration\": \"2099-01-01T00:00:00Z\"}"

static void test_container(void **state)
{
    (void)state;
    struct server server;
    start(&server, (const char *const[]){JSON_REPLY, "400 no", NULL});
    set_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", &server, "/get");
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file("auth", "secret-auth\n"), 1);
    expect(&nothing, "J", "j", "jt");
    expect_failure(&nothing, "HTTP 400");
    stop(&server);
    assert_non_null(strstr(server.seen[0], "\r\nAuthorization: secret-auth\r\n"));
    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/get", 1);
    expect_failure(&nothing, "to this machine");
}

static void test_instance(void **state)
{
    (void)state;
    struct server server;
    start(&server, (const char *const[]){"200 TOKEN", "200 my-role", JSON_REPLY, NULL});
    unsetenv("AWS_EC2_METADATA_DISABLED");
    set_url("AWS_EC2_METADATA_SERVICE_ENDPOINT", &server, "/");
    expect(&nothing, "J", "j", "jt");
    stop(&server);
    assert_non_null(strstr(server.seen[0], "PUT /latest/api/token "));
    assert_non_null(strstr(server.seen[0], "token-ttl-seconds: 21600"));
    assert_non_null(strstr(server.seen[2], "/security-credentials/my-role "));
    assert_non_null(strstr(server.seen[2], "\r\nX-aws-ec2-metadata-token: TOKEN\r\n"));
    /* Nobody there: said, and quickly. */
    int64_t began = mr_clock_monotonic_micros();
    expect_failure(&nothing, "no service answers");
    assert_true(mr_clock_monotonic_micros() - began < 5000000);
}

static void make_time(int64_t ahead, char out[64])
{
    char text[MR_TIME_TEXT_MAX];
    mr_timestamp_format((mr_clock_wall_micros() + ahead) / 1000000 * 1000000, 'T', text);
    snprintf(out, 64, "%sZ", text);
}

/* Keys that soon expire are fetched again; when that fails, the old ones serve as long as they are valid. */
static void test_refresh(void **state)
{
    (void)state;
    struct server server;
    char soon[400], time[64];
    const struct s3_credentials *got[4];
    struct s3_provider *provider;
    make_time(INT64_C(120) * 1000000, time);
    snprintf(soon, sizeof soon,
             "200 {\"AccessKeyId\": \"OLD\", \"SecretAccessKey\": \"j\", \"Expiration\": \"%s\"}",
             time);
    start(&server, (const char *const[]){soon, "400 no", JSON_REPLY, NULL});
    set_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", &server, "/get");
    assert_int_equal(s3_provider_new(&nothing, &provider, &err), MR_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(s3_provider_get(provider, &waiter, &got[i], &err), MR_OK);
        assert_string_equal(got[i]->access_key, "OLD");
    }
    assert_int_equal(server.nseen, 1); /* not asked for again within half a minute */
    s3_provider_distrust(provider, got[0]);
    assert_int_equal(s3_provider_get(provider, &waiter, &got[3], &err), MR_CREDENTIALS);
    assert_int_equal(s3_provider_get(provider, &waiter, &got[3], &err), MR_OK);
    assert_string_equal(got[3]->access_key, "J");
    for (int i = 0; i < 4; i++)
        s3_credentials_unref(got[i]);
    s3_provider_free(provider);
    stop(&server);
}

static void fetch_in_thread(void *context)
{
    struct mr_waiter plain = mr_waiter_plain();
    struct mr_error failure;
    const struct s3_credentials *got;
    if (s3_provider_get(context, &plain, &got, &failure) == MR_OK)
        s3_credentials_unref(got);
}

static void test_single_flight(void **state)
{
    (void)state;
    struct server server;
    struct mr_thread threads[8];
    struct s3_provider *provider;
    start(&server, (const char *const[]){JSON_REPLY, NULL});
    set_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", &server, "/get");
    assert_int_equal(s3_provider_new(&nothing, &provider, &err), MR_OK);
    for (int i = 0; i < 8; i++)
        assert_int_equal(mr_thread_start(&threads[i], "t", fetch_in_thread, provider, &err), MR_OK);
    for (int i = 0; i < 8; i++)
        mr_thread_join(&threads[i]);
    stop(&server);
    assert_int_equal(server.nseen, 1);
    s3_provider_free(provider);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_order, clean),
        cmocka_unit_test_setup(test_profiles, clean),
        cmocka_unit_test_setup(test_roles, clean),
        cmocka_unit_test_setup(test_container, clean),
        cmocka_unit_test_setup(test_instance, clean),
        cmocka_unit_test_setup(test_refresh, clean),
        cmocka_unit_test_setup(test_single_flight, clean),
    };
    if (!mkdtemp(directory))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[100];
    for (const char *const *name =
             (const char *const[]){"credentials", "config", "token", "auth", NULL};
         *name; name++) {
        snprintf(command, sizeof command, "%s/%s", directory, *name);
        unlink(command);
    }
    rmdir(directory);
    return failed;
}
