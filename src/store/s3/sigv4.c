/*
 * sigv4.c - the signer.
 *
 * libcurl has one (CURLOPT_AWS_SIGV4), which in the version of Debian 12 signs wrongly what data
 * lakes are made of: keys with '=' (every Hive partition), '+' or UTF-8, unsorted queries,
 * "?uploads". What has to be done around it to feed it only what it gets right is most of a signer.
 *
 * The canonical request, one line each: method; path; sorted query; a line for every header, sorted
 * by name, values trimmed, inner blanks folded, repeated ones joined by commas; an empty line; names
 * of the headers; hash of the payload. Its hash goes into the string to sign, which is signed with a
 * key derived from secret, day, region and service.
 */
#include "store/s3/sigv4.h"

#include "base/arena.h"
#include "base/time.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define CANONICAL_MAX ((size_t)1 << 20)
#define SHA256_BYTES  32

/* --- text --- */

static bool is_unreserved(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void sigv4_encode(struct mr_bytes *out, struct mr_slice text, bool slash)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (is_unreserved(c) || (slash && c == '/')) {
            mr_bytes_char(out, (char)c);
        } else {
            char code[3] = {'%', digits[c >> 4], digits[c & 15]};
            mr_bytes_append(out, code, sizeof code);
        }
    }
}

void sigv4_hex(const unsigned char *bytes, size_t size, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * size] = '\0';
}

void sigv4_hash(struct mr_slice data, char out[SIGV4_HASH_SIZE])
{
    unsigned char hash[SHA256_BYTES] = {0};
    EVP_Digest(data.data ? data.data : "", data.size, hash, NULL, EVP_sha256(), NULL);
    sigv4_hex(hash, sizeof hash, out);
}

void sigv4_date(int64_t wall_micros, char out[SIGV4_DATE_SIZE])
{
    struct mr_civil civil;
    mr_civil_from_micros(wall_micros, &civil);
    char text[64];
    snprintf(text, sizeof text, "%04d%02d%02dT%02d%02d%02dZ", (int)civil.year, civil.month,
             civil.day, civil.hour, civil.minute, civil.second);
    memcpy(out, text, SIGV4_DATE_SIZE - 1);
    out[SIGV4_DATE_SIZE - 1] = '\0';
}

/* --- path --- */

/* Folds empty parts, "." and ".."; a slash at the end stays. */
static enum mr_status fold_path(struct mr_arena *arena, struct mr_slice *path, struct mr_error *err)
{
    char *out = mr_arena_alloc(arena, path->size + 2);
    if (!out)
        return mr_error_nomem(err);
    size_t size = 0;
    const char *end = path->data + path->size;
    bool open = true; /* the text ends in a part that is no more, so in a slash */
    for (const char *at = path->data; at < end;) {
        const char *slash = memchr(at, '/', (size_t)(end - at));
        const char *stop = slash ? slash : end;
        size_t part = (size_t)(stop - at);
        bool up = part == 2 && at[0] == '.' && at[1] == '.';
        open = part == 0 || up || (part == 1 && at[0] == '.');
        if (up) {
            while (size > 0 && out[--size] != '/')
                ;
        } else if (!open) {
            out[size++] = '/';
            memcpy(out + size, at, part);
            size += part;
        }
        if (slash && slash + 1 == end)
            open = true;
        at = stop + 1;
    }
    if (open || size == 0)
        out[size++] = '/';
    *path = (struct mr_slice){out, size};
    return MR_OK;
}

static enum mr_status add_path(const struct sigv4_request *request, struct mr_arena *arena,
                               struct mr_bytes *out, struct mr_error *err)
{
    struct mr_slice path = request->path;
    if (request->normalize)
        MR_TRY(fold_path(arena, &path, err));
    if (!request->double_encode) {
        sigv4_encode(out, path, true);
        return MR_OK;
    }
    struct mr_bytes once;
    mr_bytes_init(&once, CANONICAL_MAX);
    sigv4_encode(&once, path, true);
    sigv4_encode(out, (struct mr_slice){once.data, once.size}, true);
    enum mr_status status = mr_bytes_status(&once, err);
    mr_bytes_reset(&once);
    return status;
}

/* --- query --- */

static int compare_pairs(const void *a, const void *b)
{
    const struct sigv4_pair *left = a, *right = b;
    int order = strcmp(left->name, right->name);
    return order ? order : strcmp(left->value, right->value);
}

static const char *encoded(struct mr_arena *arena, const char *text)
{
    struct mr_bytes out;
    mr_bytes_init(&out, CANONICAL_MAX);
    sigv4_encode(&out, mr_slice_of(text), false);
    return mr_bytes_to_arena(&out, arena);
}

static enum mr_status add_query(const struct sigv4_pair *query, int nquery, struct mr_arena *arena,
                                struct mr_bytes *out, struct mr_error *err)
{
    struct sigv4_pair *pairs = mr_arena_calloc(arena, (size_t)nquery + 1, sizeof *pairs);
    if (!pairs)
        return mr_error_nomem(err);
    for (int i = 0; i < nquery; i++) {
        pairs[i].name = encoded(arena, query[i].name);
        pairs[i].value = encoded(arena, query[i].value);
        if (!pairs[i].name || !pairs[i].value)
            return mr_error_nomem(err);
    }
    qsort(pairs, (size_t)nquery, sizeof *pairs, compare_pairs);
    for (int i = 0; i < nquery; i++)
        mr_bytes_printf(out, "%s%s=%s", i ? "&" : "", pairs[i].name, pairs[i].value);
    return MR_OK;
}

enum mr_status sigv4_query(struct mr_bytes *out, const struct sigv4_pair *query, int nquery,
                           struct mr_error *err)
{
    struct mr_arena arena;
    mr_arena_init(&arena, NULL);
    enum mr_status status = add_query(query, nquery, &arena, out, err);
    mr_arena_reset(&arena);
    return status == MR_OK ? mr_bytes_status(out, err) : status;
}

/* --- headers --- */

struct header {
    char *name; /* lower case */
    const char *value;
    int order; /* among those of one name */
};

static int compare_headers(const void *a, const void *b)
{
    const struct header *left = a, *right = b;
    int order = strcmp(left->name, right->name);
    return order ? order : left->order - right->order;
}

static struct header *sort_headers(const struct sigv4_request *request, struct mr_arena *arena)
{
    struct header *headers = mr_arena_calloc(arena, (size_t)request->nheaders + 1, sizeof *headers);
    for (int i = 0; headers && i < request->nheaders; i++) {
        headers[i].name = mr_arena_strdup(arena, request->headers[i].name);
        headers[i].value = request->headers[i].value;
        headers[i].order = i;
        if (!headers[i].name)
            return NULL;
        for (char *c = headers[i].name; *c; c++)
            *c = (char)tolower((unsigned char)*c);
    }
    if (headers)
        qsort(headers, (size_t)request->nheaders, sizeof *headers, compare_headers);
    return headers;
}

/* Trimmed, and every run of blanks (line breaks of a folded header too) one space. */
static void add_value(struct mr_bytes *out, const char *value)
{
    bool blank = false, any = false;
    for (; *value; value++) {
        if (isspace((unsigned char)*value)) {
            blank = true;
            continue;
        }
        if (blank && any)
            mr_bytes_char(out, ' ');
        mr_bytes_char(out, *value);
        blank = false;
        any = true;
    }
}

static void add_headers(const struct header *headers, int nheaders, struct mr_bytes *out)
{
    for (int i = 0; i < nheaders; i++) {
        bool again = i > 0 && strcmp(headers[i].name, headers[i - 1].name) == 0;
        if (again)
            mr_bytes_char(out, ',');
        else
            mr_bytes_printf(out, "%s%s:", i ? "\n" : "", headers[i].name);
        add_value(out, headers[i].value);
    }
    mr_bytes_char(out, '\n');
}

static void add_names(const struct header *headers, int nheaders, struct mr_bytes *out)
{
    for (int i = 0; i < nheaders; i++) {
        if (i == 0 || strcmp(headers[i].name, headers[i - 1].name) != 0)
            mr_bytes_printf(out, "%s%s", i ? ";" : "", headers[i].name);
    }
}

/* --- signing --- */

static enum mr_status canonical(const struct sigv4_request *request, const struct header *headers,
                                struct mr_arena *arena, struct mr_bytes *out, struct mr_error *err)
{
    mr_bytes_printf(out, "%s\n", request->method);
    MR_TRY(add_path(request, arena, out, err));
    mr_bytes_char(out, '\n');
    MR_TRY(add_query(request->query, request->nquery, arena, out, err));
    mr_bytes_char(out, '\n');
    add_headers(headers, request->nheaders, out);
    mr_bytes_char(out, '\n');
    add_names(headers, request->nheaders, out);
    mr_bytes_printf(out, "\n%s", request->payload_hash);
    return mr_bytes_status(out, err);
}

enum mr_status sigv4_canonical(const struct sigv4_request *request, struct mr_bytes *out,
                               struct mr_error *err)
{
    struct mr_arena arena;
    mr_arena_init(&arena, NULL);
    const struct header *headers = sort_headers(request, &arena);
    enum mr_status status =
        headers ? canonical(request, headers, &arena, out, err) : mr_error_nomem(err);
    mr_arena_reset(&arena);
    return status;
}

static void hmac(const void *key, size_t key_size, struct mr_slice data,
                 unsigned char out[SHA256_BYTES])
{
    unsigned size = 0;
    HMAC(EVP_sha256(), key, (int)key_size, (const unsigned char *)data.data, data.size, out, &size);
}

/* The key of one day, region and service. */
static enum mr_status derive(const struct sigv4_key *key, const char *date,
                             unsigned char out[SHA256_BYTES], struct mr_error *err)
{
    size_t size = strlen(key->secret_key) + 5;
    char *secret = mr_alloc(size);
    if (!secret)
        return mr_error_nomem(err);
    snprintf(secret, size, "AWS4%s", key->secret_key);
    unsigned char a[SHA256_BYTES], b[SHA256_BYTES];
    hmac(secret, size - 1, (struct mr_slice){date, 8}, a);
    hmac(a, sizeof a, mr_slice_of(key->region), b);
    hmac(b, sizeof b, mr_slice_of(key->service), a);
    hmac(a, sizeof a, mr_slice_of("aws4_request"), out);
    explicit_bzero(secret, size);
    explicit_bzero(a, sizeof a);
    explicit_bzero(b, sizeof b);
    mr_free(secret);
    return MR_OK;
}

static enum mr_status sign(const struct sigv4_request *request, const struct sigv4_key *key,
                           const struct mr_bytes *text, char signature[SIGV4_HASH_SIZE],
                           struct mr_error *err)
{
    char hash[SIGV4_HASH_SIZE];
    unsigned char signing[SHA256_BYTES], mac[SHA256_BYTES] = {0};
    struct mr_bytes to_sign;
    sigv4_hash((struct mr_slice){text->data, text->size}, hash);
    MR_TRY(derive(key, request->date, signing, err));
    mr_bytes_init(&to_sign, CANONICAL_MAX);
    mr_bytes_printf(&to_sign, "AWS4-HMAC-SHA256\n%s\n%.8s/%s/%s/aws4_request\n%s", request->date,
                    request->date, key->region, key->service, hash);
    enum mr_status status = mr_bytes_status(&to_sign, err);
    if (status == MR_OK)
        hmac(signing, sizeof signing, (struct mr_slice){to_sign.data, to_sign.size}, mac);
    sigv4_hex(mac, sizeof mac, signature);
    explicit_bzero(signing, sizeof signing);
    mr_bytes_reset(&to_sign);
    return status;
}

enum mr_status sigv4_sign(const struct sigv4_request *request, const struct sigv4_key *key,
                          struct mr_bytes *out, struct mr_error *err)
{
    char signature[SIGV4_HASH_SIZE];
    struct mr_arena arena;
    struct mr_bytes text;
    enum mr_status status = MR_OK;
    mr_arena_init(&arena, NULL);
    mr_bytes_init(&text, CANONICAL_MAX);
    const struct header *headers = sort_headers(request, &arena);
    if (!headers) {
        status = mr_error_nomem(err);
        goto out;
    }
    MR_TRY_OUT(canonical(request, headers, &arena, &text, err));
    MR_TRY_OUT(sign(request, key, &text, signature, err));
    mr_bytes_printf(out, "AWS4-HMAC-SHA256 Credential=%s/%.8s/%s/%s/aws4_request, SignedHeaders=",
                    key->access_key, request->date, key->region, key->service);
    add_names(headers, request->nheaders, out);
    mr_bytes_printf(out, ", Signature=%s", signature);
    MR_TRY_OUT(mr_bytes_status(out, err));
out:
    mr_bytes_reset(&text);
    mr_arena_reset(&arena);
    return status;
}
