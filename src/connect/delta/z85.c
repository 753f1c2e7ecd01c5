/*
 * z85.c - the text form of deletion vectors and of the UUIDs of their files: four bytes as five
 * digits of base 85, most significant first, in the alphabet of ZeroMQ's RFC 32.
 */
#include "connect/delta/vector.h"

static const char alphabet[] =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

bool delta_z85_decode(const char *text, size_t size, uint8_t *out)
{
    if (size % 5 != 0)
        return false;
    for (size_t i = 0; i < size; i += 5) {
        uint64_t word = 0;
        for (size_t k = 0; k < 5; k++) {
            const char *digit = text[i + k] ? strchr(alphabet, text[i + k]) : NULL;
            if (!digit)
                return false;
            word = word * 85 + (uint64_t)(digit - alphabet);
        }
        if (word > UINT32_MAX)
            return false;
        for (int k = 0; k < 4; k++)
            *out++ = (uint8_t)(word >> (24 - 8 * k));
    }
    return true;
}
