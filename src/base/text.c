/*
 * text.c - UTF-8 and ASCII-case comparison.
 *
 * UTF-8 is decided by the table of well-formed byte sequences (Unicode 15, table 3-7): no overlong
 * forms, no surrogates, nothing above U+10FFFF. Runs of ASCII are skipped eight bytes at a time,
 * since that is what most data is.
 */
#include "base/text.h"

int mr_utf8_decode(const char *data, size_t size, uint32_t *code_point)
{
    const uint8_t *s = (const uint8_t *)data;
    uint8_t first = s[0];
    if (first < 0x80) {
        *code_point = first;
        return 1;
    }
    int length = first >= 0xC2 && first <= 0xDF   ? 2
                 : first >= 0xE0 && first <= 0xEF ? 3
                 : first >= 0xF0 && first <= 0xF4 ? 4
                                                  : 0;
    if (length == 0 || size < (size_t)length)
        return 0;
    /* The second byte has a narrower range behind some first bytes. */
    uint8_t low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    uint8_t high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (s[1] < low || s[1] > high)
        return 0;
    uint32_t value = (first & (0x7Fu >> length)) << 6 | (s[1] & 0x3Fu);
    for (int i = 2; i < length; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
        value = value << 6 | (s[i] & 0x3Fu);
    }
    *code_point = value;
    return length;
}

int mr_utf8_encode(uint32_t code_point, char out[4])
{
    if (code_point < 0x80) {
        out[0] = (char)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        out[0] = (char)(0xC0 | code_point >> 6);
        out[1] = (char)(0x80 | (code_point & 0x3F));
        return 2;
    }
    if (code_point < 0x10000) {
        out[0] = (char)(0xE0 | code_point >> 12);
        out[1] = (char)(0x80 | (code_point >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code_point & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code_point >> 18);
    out[1] = (char)(0x80 | (code_point >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code_point >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code_point & 0x3F));
    return 4;
}

size_t mr_utf8_valid_prefix(const char *data, size_t size)
{
    size_t i = 0;
    while (i < size) {
        uint64_t word, four[4];
        for (; i + sizeof four <= size; i += sizeof four) {
            memcpy(four, data + i, sizeof four);
            if ((four[0] | four[1] | four[2] | four[3]) & UINT64_C(0x8080808080808080))
                break;
        }
        while (i + sizeof word <= size) {
            memcpy(&word, data + i, sizeof word);
            if (word & UINT64_C(0x8080808080808080))
                break;
            i += sizeof word;
        }
        if (i == size)
            break;
        if (!(data[i] & 0x80)) {
            i++;
            continue;
        }
        uint32_t code_point;
        int length = mr_utf8_decode(data + i, size - i, &code_point);
        if (length == 0)
            break;
        i += (size_t)length;
    }
    return i;
}

int64_t mr_utf8_length(const char *data, size_t size)
{
    /* Every byte but the continuation bytes begins a code point. */
    int64_t count = 0;
    for (size_t i = 0; i < size; i++)
        count += (data[i] & 0xC0) != 0x80;
    return count;
}

bool mr_text_equal_nocase(const char *a, const char *b)
{
    for (;; a++, b++) {
        char x = *a >= 'A' && *a <= 'Z' ? (char)(*a + 32) : *a;
        char y = *b >= 'A' && *b <= 'Z' ? (char)(*b + 32) : *b;
        if (x != y)
            return false;
        if (x == '\0')
            return true;
    }
}
