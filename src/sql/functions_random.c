/*
 * functions_random.c - rand, randn and uuid.
 *
 * rand(seed) gives Spark's numbers of a first partition (XORShiftRandom), from the start of every split of the input: a value belongs to
 * a row's place in its split. Without a seed, and for uuid, the kernel of the system is asked for one.
 */
#include "sql/function.h"

#include <math.h>
#include <sys/random.h>

struct generator {
    bool ready;
    int64_t state;
    bool have_next; /* randn makes two numbers at a time */
    double next;
};

static void release_generator(void *state)
{
    (void)state;
}

static uint32_t rotate(uint32_t value, int bits)
{
    return value << bits | value >> (32 - bits);
}

/* Murmur3 of 32 bits over the 8 bytes of the seed, the highest first. */
static uint32_t hash_seed(int64_t seed, uint32_t hash)
{
    for (int word = 0; word < 2; word++) {
        uint32_t k = __builtin_bswap32((uint32_t)(seed >> (32 * (1 - word))));
        k = rotate(k * 0xcc9e2d51u, 15) * 0x1b873593u;
        hash = rotate(hash ^ k, 13) * 5 + 0xe6546b64u;
    }
    hash ^= 8;
    hash = (hash ^ hash >> 16) * 0x85ebca6bu;
    hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
    return hash ^ hash >> 16;
}

static int64_t next_bits(struct generator *self, int bits)
{
    uint64_t next = (uint64_t)self->state;
    next ^= next << 21;
    next ^= next >> 35;
    next ^= next << 4;
    self->state = (int64_t)next;
    return (int64_t)(next & ((UINT64_C(1) << bits) - 1));
}

static double next_double(struct generator *self)
{
    int64_t high = next_bits(self, 26);
    return (double)((high << 27) + next_bits(self, 27)) * 0x1.0p-53;
}

/* java.util.Random.nextGaussian: the polar method. */
static double next_normal(struct generator *self)
{
    double x, y, square;
    if (self->have_next) {
        self->have_next = false;
        return self->next;
    }
    do {
        x = 2 * next_double(self) - 1;
        y = 2 * next_double(self) - 1;
        square = x * x + y * y;
    } while (square >= 1 || square == 0);
    double factor = sqrt(-2 * log(square) / square);
    self->next = y * factor;
    self->have_next = true;
    return x * factor;
}

static bool fill_random(void *to, size_t size)
{
    return getrandom(to, size, 0) == (ssize_t)size;
}

static enum mr_status generator_of(struct mr_call *call, struct generator **out)
{
    struct generator *self = mr_call_state(call, sizeof(*self), release_generator);
    int64_t seed = 0;
    *out = self;
    if (self == NULL)
        return mr_error_nomem(call->err);
    if (self->ready)
        return MR_OK;
    if (call->nargs == 0) {
        if (!fill_random(&seed, sizeof(seed)))
            return mr_call_fail(call, "the system gives no random numbers");
    } else {
        struct mr_arg arg = mr_arg_of(call, 0);
        seed = mr_arg_is_null(&arg, 0) ? 0 : MR_ARG(arg, int64_t, 0);
    }
    uint32_t low = hash_seed(seed, 0x3c074a61u), high = hash_seed(seed, low);
    self->state = (int64_t)((uint64_t)high << 32 | low);
    self->ready = true;
    return MR_OK;
}

static enum mr_status bind_seed(struct mr_binding *binding)
{
    struct mr_value seed;
    if (binding->nargs > 0 && !mr_bind_constant(binding, 0, &seed))
        return mr_bind_fail(binding, 0, "the seed is a constant");
    return MR_OK;
}

static enum mr_status numbers(struct mr_call *call, double (*next)(struct generator *),
                              struct mr_column **out)
{
    struct generator *generator;
    MR_TRY(generator_of(call, &generator));
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    MR_SET(&result, double, row, next(generator));
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_rand(struct mr_call *call, struct mr_column **out)
{
    return numbers(call, next_double, out);
}

static enum mr_status kernel_randn(struct mr_call *call, struct mr_column **out)
{
    return numbers(call, next_normal, out);
}

/* Version 4: 122 random bits. */
static enum mr_status kernel_uuid(struct mr_call *call, struct mr_column **out)
{
    static const char digits[] = "0123456789abcdef";
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        unsigned char bytes[16];
        char text[36];
        int at = 0;
        if (!fill_random(bytes, sizeof(bytes)) && result.status == MR_OK)
            result.status = mr_call_fail(call, "the system gives no random numbers");
        if (result.status != MR_OK)
            break;
        bytes[6] = (unsigned char)((bytes[6] & 15) | 0x40);
        bytes[8] = (unsigned char)((bytes[8] & 63) | 0x80);
        for (int i = 0; i < 16; i++) {
            if (i == 4 || i == 6 || i == 8 || i == 10)
                text[at++] = '-';
            text[at++] = digits[bytes[i] >> 4];
            text[at++] = digits[bytes[i] & 15];
        }
        mr_result_text(&result, row, text, sizeof(text));
    }
    return mr_result_finish(&result, out);
}

#define ROW(names_, args_, result_, kernel_, bind_, family_, signature_, doc_)                     \
    {                                                                                              \
        .names = names_, .args = args_, .result = result_,                                         \
        .flags = MR_FN_VOLATILE | MR_FN_NULLS | MR_FN_NEVER_NULL, .kernel = kernel_,               \
        .bind = bind_, .signature = signature_, .family = family_, .doc = doc_                     \
    }

static const struct mr_function functions[] = {
    ROW("rand random", "?l", "d", kernel_rand, bind_seed, "math", "rand([seed])",
        "A random number of [0, 1); with a seed the same ones from the start of each split."),
    ROW("randn", "?l", "d", kernel_randn, bind_seed, "math", "randn([seed])",
        "A random number of the standard normal distribution."),
    ROW("uuid", "", "s", kernel_uuid, NULL, "text", "uuid()", "A random UUID (version 4)."),
};

const struct mr_function_family mr_functions_random = {functions,
                                                       sizeof(functions) / sizeof(functions[0])};
