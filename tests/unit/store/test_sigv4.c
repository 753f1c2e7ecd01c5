/*
 * test_sigv4.c - signatures of requests as S3 sees them, the expected ones made with botocore's
 * S3SigV4Auth (payload signed, time 2026-11-21T10:00:00Z, region eu-west-1). The public vectors are run by
 * tests/conformance/sigv4.py.
 */
#include "store/s3/hash.h"
#include "store/s3/sigv4.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct vector {
    const char *method;
    const char *path;
    struct sigv4_pair query[4];
    struct sigv4_pair headers[4];
    const char *body;
    const char *token;
    const char *names;
    const char *signature;
};

/* Keys with '=', '+', '%', blanks, UTF-8, "//" and ".."; queries unsorted and without values. */
static const struct vector vectors[] = {
    {"GET",
     "/bucket/dt=2024-01-01/part+1 a%b.parquet",
     {{0}},
     {{0}},
     "",
     NULL,
     "host;x-amz-content-sha256;x-amz-date",
     "8b32b38c33879ec15c0a5a775f3f11e484af7a71e68ac3f8895518e84d3084ba"},
    {"GET",
     "/bucket/a//b/../c/./\xC3\xBC",
     {{"uploads", ""}},
     {{0}},
     "",
     NULL,
     "host;x-amz-content-sha256;x-amz-date",
     "175ca93125d4ea513ccb8cf179f373908f59d935764e728d3533a02e680eb6be"},
    {"GET",
     "/bucket/",
     {{"prefix", "a/b=c+d e"},
      {"list-type", "2"},
      {"start-after", "\xC3\xA9"},
      {"encoding-type", "url"}},
     {{0}},
     "",
     NULL,
     "host;x-amz-content-sha256;x-amz-date",
     "b43af8580778bf4af01b19afad003853b769d6c37be8466e79313976cc7b977a"},
    {"PUT",
     "/bucket/k",
     {{"uploadId", "a+b=/x"}, {"partNumber", "2"}},
     {{"content-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="},
      {"if-none-match", "*"},
      {"x-amz-meta-b", "two   words "}},
     "hello",
     "TOKEN/+=",
     "content-md5;host;if-none-match;x-amz-content-sha256;x-amz-date;x-amz-meta-b;"
     "x-amz-security-token",
     "c51f60d9f23d2467f275f7295cd408500b3a2fda55a7eefacc9cfb6ab2080cdd"},
    {"GET",
     "/bucket/k",
     {{0}},
     {{"range", "bytes=0-99"},
      {"x-amz-copy-source-range", "bytes=0-1"},
      {"x-amz-copy-source", "/b/k"}},
     "",
     NULL,
     "host;range;x-amz-content-sha256;x-amz-copy-source;x-amz-copy-source-range;x-amz-date",
     "14339116a0c056924e3abf42fedfe2f54ab3ced8e1f9fa799a7929a7285c2143"},
};

static int count(const struct sigv4_pair *pairs)
{
    int n = 0;
    while (n < 4 && pairs[n].name)
        n++;
    return n;
}

static void check(const struct vector *vector)
{
    struct sigv4_pair headers[8];
    char hash[SIGV4_HASH_SIZE], date[SIGV4_DATE_SIZE], expected[1024];
    struct mr_error err;
    struct mr_bytes out;
    int n = count(vector->headers);
    memcpy(headers, vector->headers, sizeof vector->headers);
    sigv4_date(INT64_C(1795255200000000), date);
    assert_string_equal(date, "20261121T100000Z");
    sigv4_hash(mr_slice_of(vector->body), hash);
    headers[n++] = (struct sigv4_pair){"Host", "127.0.0.1:9000"};
    headers[n++] = (struct sigv4_pair){"X-Amz-Date", date};
    headers[n++] = (struct sigv4_pair){"x-amz-content-sha256", hash};
    if (vector->token)
        headers[n++] = (struct sigv4_pair){"x-amz-security-token", vector->token};
    struct sigv4_request request = {.method = vector->method,
                                    .path = mr_slice_of(vector->path),
                                    .query = vector->query,
                                    .nquery = count(vector->query),
                                    .headers = headers,
                                    .nheaders = n,
                                    .payload_hash = hash,
                                    .date = date};
    struct sigv4_key key = {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "eu-west-1",
                            "s3"};
    mr_bytes_init(&out, 1 << 16);
    assert_int_equal(sigv4_sign(&request, &key, &out, &err), MR_OK);
    snprintf(expected, sizeof expected,
             "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/eu-west-1/s3/aws4_request, "
             "SignedHeaders=%s, Signature=%s",
             vector->names, vector->signature);
    assert_string_equal(out.data, expected);
    mr_bytes_reset(&out);
}

static void test_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        check(&vectors[i]);
}

static void test_encoding(void **state)
{
    (void)state;
    struct mr_bytes out;
    struct mr_error err;
    mr_bytes_init(&out, 1 << 10);
    sigv4_encode(&out, mr_slice_of("A-z_0.9~/=+ %\xC3\xBC"), true);
    assert_string_equal(out.data, "A-z_0.9~/%3D%2B%20%25%C3%BC");
    mr_bytes_clear(&out);
    sigv4_encode(&out, mr_slice_of("a/b"), false);
    assert_string_equal(out.data, "a%2Fb");
    mr_bytes_clear(&out);
    const struct sigv4_pair query[] = {
        {"b", "2"}, {"a", "z"}, {"a", "b c"}, {"B", ""}, {"a=", "1"}};
    assert_int_equal(sigv4_query(&out, query, 5, &err), MR_OK);
    assert_string_equal(out.data, "B=&a=b%20c&a=z&a%3D=1&b=2");
    mr_bytes_reset(&out);
}

static void test_checksums(void **state)
{
    (void)state;
    struct s3_hash *hash;
    struct mr_error err;
    char payload[SIGV4_HASH_SIZE], sum[S3_CHECKSUM_SIZE];
    static const char *const sums[] = {"", "JfnnlDI7RTiF9RgfG2JNCw==", "y/Q5Jg==", "4waSgw==",
                                       "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="};
    /* The check value of CRC-32C, RFC 3720 B.4. */
    assert_int_equal(s3_crc32c(0, "123456789", 9), 0xE3069283);
    for (int kind = 0; kind < 5; kind++) {
        for (int signed_too = 0; signed_too < 2; signed_too++) {
            assert_int_equal(s3_hash_new((enum s3_checksum)kind, signed_too, &hash, &err), MR_OK);
            s3_hash_add(hash, "12345", 5);
            s3_hash_add(hash, "6789", 4);
            s3_hash_end(hash, payload, sum);
            assert_string_equal(sum, sums[kind]);
            assert_string_equal(
                payload, signed_too
                             ? "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"
                             : "UNSIGNED-PAYLOAD");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_encoding),
        cmocka_unit_test(test_checksums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
