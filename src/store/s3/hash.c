/*
 * hash.c - SHA-256 of payloads and the optional checksums, in one pass.
 *
 * Over plain HTTP the payload's hash is signed, so that nobody changes it on the way; over HTTPS it
 * is left out (UNSIGNED-PAYLOAD), as the SDKs do, because TLS protects it already.
 *
 * CRC-32C is computed eight bytes at a time by tables ("slicing by 8", Intel 2006), which keeps up
 * with SHA-256; the instruction of SSE 4.2 would be faster and would need another path per machine.
 */
#include "store/s3/hash.h"

#include "base/hash.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>

#define POLYNOMIAL UINT32_C(0x82F63B78)

struct s3_hash {
    enum s3_checksum checksum;
    EVP_MD_CTX *payload; /* NULL: not asked for */
    EVP_MD_CTX *digest;  /* MD5, or SHA-256 without `payload` */
    uint32_t crc;
    uint32_t table[8][256]; /* of CRC-32C */
};

static void make_table(uint32_t table[8][256])
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
        table[0][i] = crc;
    }
    for (int slice = 1; slice < 8; slice++)
        for (int i = 0; i < 256; i++)
            table[slice][i] = (table[slice - 1][i] >> 8) ^ table[0][table[slice - 1][i] & 255];
}

static uint32_t add_crc32c(const uint32_t table[8][256], uint32_t crc, const unsigned char *at,
                           size_t size)
{
    crc = ~crc;
    for (; size >= 8; at += 8, size -= 8) {
        uint32_t low = crc ^ ((uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
                              (uint32_t)at[3] << 24);
        crc = table[7][low & 255] ^ table[6][(low >> 8) & 255] ^ table[5][(low >> 16) & 255] ^
              table[4][low >> 24] ^ table[3][at[4]] ^ table[2][at[5]] ^ table[1][at[6]] ^
              table[0][at[7]];
    }
    for (; size > 0; at++, size--)
        crc = (crc >> 8) ^ table[0][(crc ^ *at) & 255];
    return ~crc;
}

uint32_t s3_crc32c(uint32_t crc, const void *data, size_t size)
{
    uint32_t table[8][256];
    make_table(table);
    return add_crc32c((const uint32_t(*)[256])table, crc, data, size);
}

void s3_base64(const unsigned char *data, size_t size, char *out)
{
    EVP_EncodeBlock((unsigned char *)out, data, (int)size);
}

static EVP_MD_CTX *begin(const EVP_MD *kind)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context && EVP_DigestInit_ex(context, kind, NULL) != 1) {
        EVP_MD_CTX_free(context);
        context = NULL;
    }
    return context;
}

enum mr_status s3_hash_new(enum s3_checksum checksum, bool payload, struct s3_hash **out,
                           struct mr_error *err)
{
    struct s3_hash *hash = mr_calloc(1, sizeof *hash);
    *out = NULL;
    if (!hash)
        return mr_error_nomem(err);
    hash->checksum = checksum;
    bool own = checksum == S3_CHECKSUM_MD5 || (checksum == S3_CHECKSUM_SHA256 && !payload);
    if (payload)
        hash->payload = begin(EVP_sha256());
    if (own)
        hash->digest = begin(checksum == S3_CHECKSUM_MD5 ? EVP_md5() : EVP_sha256());
    if (checksum == S3_CHECKSUM_CRC32C)
        make_table(hash->table);
    if ((payload && !hash->payload) || (own && !hash->digest)) {
        EVP_MD_CTX_free(hash->payload);
        mr_free(hash);
        mr_error_set(err, MR_CONFIG, MR_CLASS_CONFIG,
                     "OpenSSL does not give the %s that uploads need",
                     checksum == S3_CHECKSUM_MD5 ? "MD5" : "SHA-256");
        mr_error_hint(err, "in FIPS mode MD5 is forbidden: set \"checksum\": \"sha256\"");
        return MR_CONFIG;
    }
    *out = hash;
    return MR_OK;
}

void s3_hash_add(struct s3_hash *hash, const void *data, size_t size)
{
    if (hash->payload)
        EVP_DigestUpdate(hash->payload, data, size);
    if (hash->digest)
        EVP_DigestUpdate(hash->digest, data, size);
    if (hash->checksum == S3_CHECKSUM_CRC32)
        hash->crc = mr_crc32(hash->crc, data, size);
    else if (hash->checksum == S3_CHECKSUM_CRC32C)
        hash->crc = add_crc32c((const uint32_t(*)[256])hash->table, hash->crc, data, size);
}

void s3_hash_end(struct s3_hash *hash, char payload[SIGV4_HASH_SIZE],
                 char checksum[S3_CHECKSUM_SIZE])
{
    unsigned char sum[EVP_MAX_MD_SIZE] = {0}, own[EVP_MAX_MD_SIZE] = {0};
    unsigned size = 0;
    snprintf(payload, SIGV4_HASH_SIZE, "UNSIGNED-PAYLOAD");
    checksum[0] = '\0';
    if (hash->payload) {
        EVP_DigestFinal_ex(hash->payload, sum, &size);
        sigv4_hex(sum, 32, payload);
    }
    if (hash->digest) {
        EVP_DigestFinal_ex(hash->digest, own, &size);
        s3_base64(own, size, checksum);
    } else if (hash->checksum == S3_CHECKSUM_SHA256) {
        s3_base64(sum, 32, checksum);
    } else if (hash->checksum != S3_CHECKSUM_NONE) {
        unsigned char big[4] = {(unsigned char)(hash->crc >> 24), (unsigned char)(hash->crc >> 16),
                                (unsigned char)(hash->crc >> 8), (unsigned char)hash->crc};
        s3_base64(big, sizeof big, checksum);
    }
    EVP_MD_CTX_free(hash->payload);
    EVP_MD_CTX_free(hash->digest);
    mr_free(hash);
}

const char *s3_checksum_header(enum s3_checksum checksum)
{
    static const char *const names[] = {NULL, "content-md5", "x-amz-checksum-crc32",
                                        "x-amz-checksum-crc32c", "x-amz-checksum-sha256"};
    return names[checksum];
}

const char *s3_checksum_algorithm(enum s3_checksum checksum)
{
    static const char *const names[] = {NULL, NULL, "CRC32", "CRC32C", "SHA256"};
    return names[checksum];
}

enum mr_status s3_random_token(char out[33], struct mr_error *err)
{
    unsigned char bytes[16];
    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return mr_error_internal(err, "no random numbers to be had");
    sigv4_hex(bytes, sizeof bytes, out);
    return MR_OK;
}
