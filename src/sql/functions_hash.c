/*
 * functions_hash.c - digests, CRC-32, and Spark's hash and xxhash64.
 *
 * hash is Murmur3 of 32 bits with Spark's own end (each byte behind the last whole word is mixed in as a word), xxhash64 is XXH64; both
 * begin with seed 42, go from argument to argument and into arrays and structs with the hash so far as the seed, and pass over
 * NULL. Source: HashExpression, Murmur3_x86_32 and XXH64 of Spark 3.5.
 */
#include "base/hash.h"
#include "enc/value_text.h"
#include "sql/function.h"

#include <math.h>
#include <openssl/evp.h>

/* An algorithm and its context, kept by the thread. */
struct digest {
    const EVP_MD *algorithm;
    EVP_MD_CTX *context;
};

static void release_digest(void *state)
{
    EVP_MD_CTX_free(((struct digest *)state)->context);
}

static struct digest *digest_of(struct mr_call *call)
{
    struct digest *digest = mr_call_state(call, sizeof(*digest), release_digest);
    if (digest != NULL && digest->context == NULL)
        digest->context = EVP_MD_CTX_new();
    return digest != NULL && digest->context != NULL ? digest : NULL;
}

/* Appends the digest of `bytes` in hexadecimal digits. */
static void put_digest(struct mr_result *result, int64_t row, struct digest *digest,
                       struct mr_slice bytes)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char made[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (EVP_DigestInit_ex(digest->context, digest->algorithm, NULL) != 1 ||
        EVP_DigestUpdate(digest->context, bytes.data, bytes.size) != 1 ||
        EVP_DigestFinal_ex(digest->context, made, &size) != 1) {
        if (result->status == MR_OK)
            result->status = mr_call_fail(result->call, "the digest is not available here");
        return;
    }
    char *to = mr_result_reserve(result, (size_t)size * 2);
    for (unsigned i = 0; to && i < size; i++) {
        to[2 * i] = digits[made[i] >> 4];
        to[2 * i + 1] = digits[made[i] & 15];
    }
    mr_result_commit(result, row, (size_t)size * 2);
}

static enum mr_status digest_all(struct mr_call *call, const EVP_MD *algorithm,
                                 struct mr_column **out)
{
    struct mr_arg bytes = mr_arg_of(call, 0);
    struct digest *digest = digest_of(call);
    if (digest == NULL)
        return mr_error_nomem(call->err);
    digest->algorithm = algorithm;
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    put_digest(&result, row, digest, mr_arg_text(&bytes, row));
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_md5(struct mr_call *call, struct mr_column **out)
{
    return digest_all(call, EVP_md5(), out);
}

static enum mr_status kernel_sha1(struct mr_call *call, struct mr_column **out)
{
    return digest_all(call, EVP_sha1(), out);
}

static const EVP_MD *sha2_of(int32_t bits)
{
    switch (bits) {
    case 224:
        return EVP_sha224();
    case 0:
    case 256:
        return EVP_sha256();
    case 384:
        return EVP_sha384();
    case 512:
        return EVP_sha512();
    default:
        return NULL;
    }
}

static enum mr_status kernel_sha2(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg bytes = mr_arg_of(call, 0), bits = mr_arg_of(call, 1);
    struct digest *digest = digest_of(call);
    if (digest == NULL)
        return mr_error_nomem(call->err);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        digest->algorithm = sha2_of(MR_ARG(bits, int32_t, row));
        if (digest->algorithm == NULL)
            mr_result_null(&result, row);
        else
            put_digest(&result, row, digest, mr_arg_text(&bytes, row));
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_crc32(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg bytes = mr_arg_of(call, 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice text = mr_arg_text(&bytes, row);
        MR_SET(&result, int64_t, row, mr_crc32(0, text.data, text.size));
    }
    return mr_result_finish(&result, out);
}

/* One of the two hashes; the state is the seed of what follows. */
struct hasher {
    uint64_t (*word)(uint32_t value, uint64_t seed);
    uint64_t (*pair)(uint64_t value, uint64_t seed);
    uint64_t (*bytes)(const void *data, size_t size, uint64_t seed);
};

static uint32_t rotate(uint32_t value, int bits)
{
    return value << bits | value >> (32 - bits);
}

static uint32_t murmur_mix(uint32_t hash, uint32_t word)
{
    word = rotate(word * 0xcc9e2d51u, 15) * 0x1b873593u;
    return rotate(hash ^ word, 13) * 5 + 0xe6546b64u;
}

static uint32_t murmur_end(uint32_t hash, uint32_t size)
{
    hash ^= size;
    hash = (hash ^ hash >> 16) * 0x85ebca6bu;
    hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
    return hash ^ hash >> 16;
}

static uint64_t murmur_word(uint32_t value, uint64_t seed)
{
    return murmur_end(murmur_mix((uint32_t)seed, value), 4);
}

static uint64_t murmur_pair(uint64_t value, uint64_t seed)
{
    uint32_t hash = murmur_mix((uint32_t)seed, (uint32_t)value);
    return murmur_end(murmur_mix(hash, (uint32_t)(value >> 32)), 8);
}

static uint64_t murmur_bytes(const void *data, size_t size, uint64_t seed)
{
    const unsigned char *at = data;
    uint32_t hash = (uint32_t)seed;
    size_t i = 0;
    for (; i + 4 <= size; i += 4)
        hash = murmur_mix(hash, (uint32_t)at[i] | (uint32_t)at[i + 1] << 8 |
                                    (uint32_t)at[i + 2] << 16 | (uint32_t)at[i + 3] << 24);
    for (; i < size; i++)
        hash = murmur_mix(hash, (uint32_t)(int32_t)(signed char)at[i]);
    return murmur_end(hash, (uint32_t)size);
}

static uint64_t xx_word(uint32_t value, uint64_t seed)
{
    unsigned char bytes[4];
    for (int i = 0; i < 4; i++)
        bytes[i] = (unsigned char)(value >> 8 * i);
    return mr_xxh64(bytes, 4, seed);
}

static uint64_t xx_pair(uint64_t value, uint64_t seed)
{
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(value >> 8 * i);
    return mr_xxh64(bytes, 8, seed);
}

static const struct hasher murmur = {murmur_word, murmur_pair, murmur_bytes};
static const struct hasher xx = {xx_word, xx_pair, mr_xxh64};

/* BigInteger.toByteArray: as few bytes as hold the number and its sign, the highest first. */
static uint64_t hash_wide(const struct hasher *hasher, mr_int128 value, uint64_t seed)
{
    unsigned char bytes[16];
    int size = 1;
    while (size < 16 && value >> (8 * size - 1) != 0 && value >> (8 * size - 1) != -1)
        size++;
    for (int i = 0; i < size; i++)
        bytes[i] = (unsigned char)(value >> 8 * (size - 1 - i));
    return hasher->bytes(bytes, (size_t)size, seed);
}

static uint64_t hash_float(const struct hasher *hasher, const struct mr_arg *arg, int64_t row,
                           uint64_t seed)
{
    double wide = mr_arg_double(arg, row);
    if (arg->type->id == MR_TYPE_FLOAT32) {
        float value = (float)wide;
        uint32_t bits = 0x7fc00000u;
        if (value == 0)
            bits = 0;
        else if (!isnan(value))
            memcpy(&bits, &value, sizeof(bits));
        return hasher->word(bits, seed);
    }
    uint64_t bits = UINT64_C(0x7ff8000000000000);
    if (wide == 0)
        bits = 0;
    else if (!isnan(wide))
        memcpy(&bits, &wide, sizeof(bits));
    return hasher->pair(bits, seed);
}

/* As Spark's two ANSI types (months as INT, days and time as microseconds) where one of them can hold it. */
static uint64_t hash_interval(const struct hasher *hasher, const struct mr_interval *value,
                              uint64_t seed)
{
    int64_t micros = value->micros + value->days * INT64_C(86400000000);
    if (value->months == 0)
        return hasher->pair((uint64_t)micros, seed);
    if (micros == 0 && value->days == 0)
        return hasher->word((uint32_t)value->months, seed);
    seed = hasher->pair((uint64_t)value->micros, seed);
    seed = hasher->word((uint32_t)value->days, seed);
    return hasher->word((uint32_t)value->months, seed);
}

static uint64_t hash_value(const struct hasher *hasher, const struct mr_column *column, int64_t row,
                           uint64_t seed);

static uint64_t hash_nested(const struct hasher *hasher, const struct mr_column *column,
                            int64_t row, uint64_t seed)
{
    if (column->type->id == MR_TYPE_STRUCT) {
        for (int i = 0; i < column->nchildren; i++)
            seed = hash_value(hasher, column->children[i], row, seed);
        return seed;
    }
    const int32_t *offsets = mr_column_offsets(column);
    for (int32_t i = offsets[row]; i < offsets[row + 1]; i++)
        seed = hash_value(hasher, column->children[0], i, seed);
    return seed;
}

static uint64_t hash_value(const struct hasher *hasher, const struct mr_column *column, int64_t row,
                           uint64_t seed)
{
    const struct mr_column *flat;
    if (!mr_column_locate(column, row, &flat, &row))
        return seed;
    struct mr_arg arg = mr_arg_of_column(flat);
    struct mr_slice text;
    switch (flat->type->id) {
    case MR_TYPE_BOOL:
    case MR_TYPE_INT8:
    case MR_TYPE_INT16:
    case MR_TYPE_INT32:
    case MR_TYPE_DATE:
        return hasher->word((uint32_t)mr_arg_int(&arg, row), seed);
    case MR_TYPE_INT64:
    case MR_TYPE_TIME:
    case MR_TYPE_TIMESTAMP:
    case MR_TYPE_TIMESTAMP_NTZ:
        return hasher->pair((uint64_t)MR_ARG(arg, int64_t, row), seed);
    case MR_TYPE_FLOAT32:
    case MR_TYPE_FLOAT64:
        return hash_float(hasher, &arg, row, seed);
    case MR_TYPE_DECIMAL:
        return flat->type->precision <= MR_DECIMAL64_PRECISION
                   ? hasher->pair((uint64_t)MR_ARG(arg, int64_t, row), seed)
                   : hash_wide(hasher, MR_ARG(arg, mr_int128, row), seed);
    case MR_TYPE_INTERVAL:
        return hash_interval(hasher, &MR_ARG(arg, struct mr_interval, row), seed);
    case MR_TYPE_UUID:
        return hasher->bytes((const char *)arg.values + (row & arg.mask) * 16, 16, seed);
    case MR_TYPE_STRING:
    case MR_TYPE_JSON:
    case MR_TYPE_BINARY:
        text = mr_arg_text(&arg, row);
        return hasher->bytes(text.data, text.size, seed);
    case MR_TYPE_NULL:
        return seed;
    default:
        return hash_nested(hasher, flat, row, seed);
    }
}

#define SEED 42

static enum mr_status kernel_hash(struct mr_call *call, struct mr_column **out)
{
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        uint64_t hash = SEED;
        for (int i = 0; i < call->nargs; i++)
            hash = hash_value(&murmur, call->args[i], row, hash);
        MR_SET(&result, int32_t, row, (int32_t)(uint32_t)hash);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_xxhash64(struct mr_call *call, struct mr_column **out)
{
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        uint64_t hash = SEED;
        for (int i = 0; i < call->nargs; i++)
            hash = hash_value(&xx, call->args[i], row, hash);
        MR_SET(&result, int64_t, row, (int64_t)hash);
    }
    return mr_result_finish(&result, out);
}

static bool has_map(const struct mr_type *type)
{
    bool found = type->id == MR_TYPE_MAP;
    for (int i = 0; i < type->nfields && !found; i++)
        found = has_map(type->fields[i].type);
    return found;
}

/* Maps that are equal may have their entries in another order. */
static enum mr_status bind_hash(struct mr_binding *binding)
{
    if (binding->nargs == 0)
        return mr_bind_fail(binding, -1, "it takes one value or more");
    for (int i = 0; i < binding->nargs; i++) {
        if (has_map(binding->args[i]->type))
            return mr_bind_fail(binding, i, "maps have no hash");
    }
    return MR_OK;
}

#define ROW(names_, args_, result_, flags_, kernel_, bind_, signature_, doc_)                      \
    {                                                                                              \
        .names = names_, .args = args_, .result = result_, .flags = flags_, .kernel = kernel_,     \
        .bind = bind_, .signature = signature_, .family = "hashes", .doc = doc_                    \
    }

static const struct mr_function functions[] = {
    ROW("md5", "x!", "s", MR_FN_TOTAL, kernel_md5, NULL, "md5(value)",
        "MD5 of a text or binary as 32 hexadecimal digits."),
    ROW("sha1 sha", "x!", "s", MR_FN_TOTAL, kernel_sha1, NULL, "sha1(value)",
        "SHA-1 of a text or binary as 40 hexadecimal digits."),
    ROW("sha2", "x!i", "s", MR_FN_TOTAL | MR_FN_MAY_NULL, kernel_sha2, NULL, "sha2(value, bits)",
        "SHA-224, SHA-256 (0 too), SHA-384 or SHA-512 in hexadecimal digits; NULL for other bits."),
    ROW("crc32", "x!", "l", MR_FN_TOTAL, kernel_crc32, NULL, "crc32(value)",
        "CRC-32 of a text or binary."),
    ROW("hash", "a*", "i", MR_FN_TOTAL | MR_FN_NULLS | MR_FN_NEVER_NULL, kernel_hash, bind_hash,
        "hash(value, ...)", "Spark's hash of 32 bits (Murmur3, seed 42)."),
    ROW("xxhash64", "a*", "l", MR_FN_TOTAL | MR_FN_NULLS | MR_FN_NEVER_NULL, kernel_xxhash64,
        bind_hash, "xxhash64(value, ...)", "Spark's hash of 64 bits (XXH64, seed 42)."),
};

const struct mr_function_family mr_functions_hash = {functions,
                                                     sizeof(functions) / sizeof(functions[0])};
