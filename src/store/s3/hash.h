/*
 * hash.h - hashes of payloads, and the checksums that a bucket may ask for.
 */
#ifndef MR_STORE_S3_HASH_H
#define MR_STORE_S3_HASH_H

#include "store/s3/sigv4.h"

/* In the order of the choices of the option `checksum`. */
enum s3_checksum {
    S3_CHECKSUM_NONE,
    S3_CHECKSUM_MD5,
    S3_CHECKSUM_CRC32,
    S3_CHECKSUM_CRC32C,
    S3_CHECKSUM_SHA256,
};

#define S3_CHECKSUM_SIZE 48 /* base64 of 32 bytes, and a NUL */

struct s3_hash; /* running over a payload */

enum mr_status s3_hash_new(enum s3_checksum checksum, bool payload, struct s3_hash **out,
                           struct mr_error *err);
void s3_hash_add(struct s3_hash *hash, const void *data, size_t size);
/* Frees it. `payload` gets UNSIGNED-PAYLOAD where its hash was not asked for; `checksum` "" if none. */
void s3_hash_end(struct s3_hash *hash, char payload[SIGV4_HASH_SIZE],
                 char checksum[S3_CHECKSUM_SIZE]);

/* "x-amz-checksum-crc32c", "Content-MD5"; NULL for none. */
const char *s3_checksum_header(enum s3_checksum checksum);
/* "CRC32C" as x-amz-checksum-algorithm and the element Checksum... want it; NULL for none and MD5. */
const char *s3_checksum_algorithm(enum s3_checksum checksum);
/* CRC-32 with the polynomial of Castagnoli. Start with 0. */
uint32_t s3_crc32c(uint32_t crc, const void *data, size_t size);
void s3_base64(const unsigned char *data, size_t size, char *out);
/* 32 random hexadecimal digits. */
enum mr_status s3_random_token(char out[33], struct mr_error *err);

#endif
