#include "model/kv/kv_rdb.h"

#include <liblzf/lzf.h>
#include <string.h>

#include "base/codec.h"
#include "model/kv/kv_private.h"

#define VERSION           10 /* of Redis 7.0, which is what this says it writes */
#define VERSION_MAX       12 /* of Redis 7.4: strings and hashes are as they were */
#define FOOTER_SIZE       10
#define LZF_EXPANSION_MAX 264 /* bytes from three at most: a longer claim is a lie */

#define TYPE_HASH_ZIPLIST  13
#define TYPE_HASH_LISTPACK 16

/* ---- CRC-64: Jones' polynomial, reflected, four bits at a time ---- */

static uint64_t crc64(struct pd_slice bytes)
{
	static const uint64_t table[16] = { 0x0000000000000000, 0x7d08ff3b88be6f81, 0xfa11fe77117cdf02,
					    0x8719014c99c2b083, 0xdf7adabd7a6e2d6f, 0xa2722586f2d042ee,
					    0x256b24ca6b12f26d, 0x5863dbf1e3ac9dec, 0x95ac9329ac4bc9b5,
					    0xe8a46c1224f5a634, 0x6fbd6d5ebd3716b7, 0x12b5926535897936,
					    0x4ad64994d625e4da, 0x37deb6af5e9b8b5b, 0xb0c7b7e3c7593bd8,
					    0xcdcf48d84fe75459 };
	uint64_t crc = 0;

	for (size_t i = 0; i < bytes.size; i++) {
		crc ^= bytes.data[i];
		crc = (crc >> 4) ^ table[crc & 15];
		crc = (crc >> 4) ^ table[crc & 15];
	}
	return crc;
}

/* ---- writing ---- */

int pd_kv_rdb_put_length(struct pd_buffer *payload, uint64_t length)
{
	uint8_t bytes[9];
	size_t size = 1;

	if (length < 1u << 6) {
		bytes[0] = (uint8_t)length;
	} else if (length < 1u << 14) {
		bytes[0] = (uint8_t)(0x40 | length >> 8);
		bytes[size++] = (uint8_t)length;
	} else {
		unsigned width = length <= UINT32_MAX ? 4 : 8;

		bytes[0] = width == 4 ? 0x80 : 0x81;
		for (unsigned i = width; i > 0; i--)
			bytes[size++] = (uint8_t)(length >> (8 * (i - 1)));
	}
	return pd_buffer_append(payload, bytes, size);
}

int pd_kv_rdb_put_string(struct pd_buffer *payload, struct pd_slice string)
{
	int result = pd_kv_rdb_put_length(payload, string.size);

	return result != 0 ? result : pd_buffer_append_slice(payload, string);
}

int pd_kv_rdb_seal(struct pd_buffer *payload)
{
	uint8_t footer[FOOTER_SIZE] = { VERSION, 0 };
	int result = pd_buffer_append(payload, footer, 2);

	if (result != 0)
		return result;
	pd_store_u64(footer, crc64(pd_buffer_slice(payload)));
	return pd_buffer_append(payload, footer, 8);
}

/* ---- reading ---- */

bool pd_kv_rdb_check(struct pd_slice payload)
{
	const uint8_t *footer;

	if (payload.size < FOOTER_SIZE + 2)
		return false;
	footer = payload.data + payload.size - FOOTER_SIZE;
	return pd_load_u16(footer) <= VERSION_MAX &&
	       pd_load_u64(footer + 2) == crc64(pd_slice(payload.data, payload.size - 8));
}

static bool fail(struct pd_kv_rdb *rdb, int code)
{
	rdb->failed = code;
	rdb->left = 0;
	return false;
}

/* NULL: there are not so many. */
static const uint8_t *take(struct pd_kv_rdb *rdb, size_t size)
{
	const uint8_t *at = rdb->rest.data;

	if (rdb->rest.size < size) {
		(void)fail(rdb, PD_CORRUPT);
		return NULL;
	}
	rdb->rest = pd_slice(at + size, rdb->rest.size - size);
	return at;
}

static uint64_t big_endian(const uint8_t *bytes, size_t size)
{
	uint64_t number = 0;

	for (size_t i = 0; i < size; i++)
		number = number << 8 | bytes[i];
	return number;
}

static uint64_t little_endian(const uint8_t *bytes, size_t size)
{
	uint64_t number = 0;

	for (size_t i = size; i > 0; i--)
		number = number << 8 | bytes[i - 1];
	return number;
}

/* *ret_special: it is no length but says how the string that follows is encoded. */
static bool take_length(struct pd_kv_rdb *rdb, uint64_t *ret_length, bool *ret_special)
{
	const uint8_t *at = take(rdb, 1), *more;
	size_t width = 1;

	if (at == NULL)
		return false;
	*ret_special = *at >> 6 == 3;
	*ret_length = *at & 0x3f;
	if (*at >> 6 == 0 || *ret_special)
		return true;
	if (*at == 0x80 || *at == 0x81)
		width = *at == 0x80 ? 4 : 8;
	else if (*at >> 6 == 2)
		return fail(rdb, PD_CORRUPT);
	more = take(rdb, width);
	if (more == NULL)
		return false;
	*ret_length = (width == 1 ? *ret_length << 8 : 0) | big_endian(more, width);
	return true;
}

/* The digits of a little-endian number of `size` bytes. */
static bool give_integer(struct pd_kv_rdb *rdb, const uint8_t *bytes, size_t size,
			 struct pd_slice *ret_string)
{
	unsigned unused = 64 - 8 * (unsigned)size;
	char text[PD_KV_NUMBER_SIZE];
	size_t digits;

	if (bytes == NULL)
		return false;
	digits = pd_kv_format_integer((int64_t)(little_endian(bytes, size) << unused) >> unused, text);
	pd_buffer_clear(&rdb->string);
	if (pd_buffer_append(&rdb->string, text, digits) != 0)
		return fail(rdb, PD_NO_MEMORY);
	*ret_string = pd_buffer_slice(&rdb->string);
	return true;
}

static bool give_bytes(struct pd_kv_rdb *rdb, uint64_t size, struct pd_slice *ret_string)
{
	const uint8_t *at = take(rdb, size <= SIZE_MAX ? (size_t)size : SIZE_MAX);

	if (at == NULL)
		return false;
	*ret_string = pd_slice(at, (size_t)size);
	return true;
}

static bool give_compressed(struct pd_kv_rdb *rdb, struct pd_buffer *to, struct pd_slice *ret_string)
{
	uint64_t packed, size;
	const uint8_t *at;
	bool special;

	if (!take_length(rdb, &packed, &special) || special || !take_length(rdb, &size, &special) || special)
		return fail(rdb, rdb->failed != 0 ? rdb->failed : PD_CORRUPT);
	if (packed > rdb->rest.size || size > packed * LZF_EXPANSION_MAX || size > PD_VALUE_SIZE_MAX ||
	    size == 0)
		return fail(rdb, PD_CORRUPT);
	at = take(rdb, (size_t)packed);
	pd_buffer_clear(to);
	if (at == NULL || pd_buffer_reserve(to, (size_t)size) != 0)
		return fail(rdb, at == NULL ? PD_CORRUPT : PD_NO_MEMORY);
	if (lzf_decompress(at, (unsigned)packed, to->data, (unsigned)size) != (unsigned)size)
		return fail(rdb, PD_CORRUPT);
	to->size = (size_t)size;
	*ret_string = pd_buffer_slice(to);
	return true;
}

/* A string of the RDB format itself. */
static bool next_string(struct pd_kv_rdb *rdb, struct pd_buffer *to, struct pd_slice *ret_string)
{
	uint64_t length;
	bool special;

	if (!take_length(rdb, &length, &special))
		return false;
	if (!special)
		return give_bytes(rdb, length, ret_string);
	if (length <= 2)
		return give_integer(rdb, take(rdb, (size_t)1 << length), (size_t)1 << length, ret_string);
	return length == 3 ? give_compressed(rdb, to, ret_string) : fail(rdb, PD_CORRUPT);
}

/* ---- listpacks ---- */

/* How long the element's length at its end is, which is for reading backwards. Redis takes one more than it needs for the last
 * of each width but the first. */
static size_t back_size(size_t size)
{
	size_t back = 2;

	if (size <= 127)
		return 1;
	for (size_t most = 16383; back < 5 && size >= most; back++)
		most = most << 7 | 127;
	return back;
}

static bool next_of_listpack(struct pd_kv_rdb *rdb, struct pd_slice *ret_string)
{
	static const uint8_t widths[] = { 2, 3, 4, 8 }; /* of 0xf1 to 0xf4 */
	const uint8_t *begin = rdb->rest.data, *at = take(rdb, 1);
	uint8_t number[2];
	bool fine;

	if (at == NULL)
		return false;
	if (*at < 0x80) {
		fine = give_integer(rdb, (const uint8_t[]){ *at, 0 }, 2, ret_string);
	} else if (*at < 0xc0) {
		fine = give_bytes(rdb, *at & 0x3f, ret_string);
	} else if (*at < 0xe0) {
		/* Thirteen bits, signed. */
		const uint8_t *low = take(rdb, 1);
		uint64_t bits = low != NULL ? (uint64_t)(*at & 0x1f) << 8 | *low : 0;

		pd_store_u16(number, (uint16_t)(bits & 0x1000 ? bits | 0xe000 : bits));
		fine = low != NULL && give_integer(rdb, number, 2, ret_string);
	} else if (*at < 0xf0) {
		const uint8_t *low = take(rdb, 1);

		fine = low != NULL && give_bytes(rdb, (uint64_t)(*at & 0x0f) << 8 | *low, ret_string);
	} else if (*at == 0xf0) {
		const uint8_t *size = take(rdb, 4);

		fine = size != NULL && give_bytes(rdb, little_endian(size, 4), ret_string);
	} else if (*at <= 0xf4) {
		fine = give_integer(rdb, take(rdb, widths[*at - 0xf1]), widths[*at - 0xf1], ret_string);
	} else {
		return fail(rdb, PD_CORRUPT);
	}
	return fine && take(rdb, back_size((size_t)(rdb->rest.data - begin))) != NULL;
}

/* ---- ziplists ---- */

static bool next_of_ziplist(struct pd_kv_rdb *rdb, struct pd_slice *ret_string)
{
	const uint8_t *at = take(rdb, 1), *size;
	uint8_t number[2];

	/* The size of the element before it: one byte, or 0xfe and four. */
	if (at == NULL || (*at == 0xfe && take(rdb, 4) == NULL))
		return false;
	at = take(rdb, 1);
	if (at == NULL)
		return false;
	switch (*at >> 6) {
	case 0:
		return give_bytes(rdb, *at & 0x3f, ret_string);
	case 1:
		size = take(rdb, 1);
		return size != NULL && give_bytes(rdb, (uint64_t)(*at & 0x3f) << 8 | *size, ret_string);
	case 2:
		size = take(rdb, 4);
		return size != NULL && give_bytes(rdb, big_endian(size, 4), ret_string);
	default:
		break;
	}
	switch (*at) {
	case 0xc0:
		return give_integer(rdb, take(rdb, 2), 2, ret_string);
	case 0xd0:
		return give_integer(rdb, take(rdb, 4), 4, ret_string);
	case 0xe0:
		return give_integer(rdb, take(rdb, 8), 8, ret_string);
	case 0xf0:
		return give_integer(rdb, take(rdb, 3), 3, ret_string);
	case 0xfe:
		return give_integer(rdb, take(rdb, 1), 1, ret_string);
	default:
		break;
	}
	if (*at < 0xf1 || *at > 0xfd)
		return fail(rdb, PD_CORRUPT);
	pd_store_u16(number, (uint16_t)((*at & 0x0f) - 1));
	return give_integer(rdb, number, 2, ret_string);
}

/* ---- the whole ---- */

/* The packed string becomes what is read. `head`: bytes before its first element. */
static bool unpack(struct pd_kv_rdb *rdb, enum pd_kv_rdb_form form, size_t head)
{
	struct pd_slice packed;

	if (!next_string(rdb, &rdb->packed, &packed))
		return false;
	/* A number in its place would lie in `string`, which is used again; it is too short anyway. */
	if (rdb->rest.size != 0 || packed.size <= head || little_endian(packed.data, 4) != packed.size ||
	    packed.data[packed.size - 1] != 0xff)
		return fail(rdb, PD_CORRUPT);
	rdb->rest = pd_slice(packed.data + head, packed.size - head - 1);
	rdb->form = form;
	rdb->left = UINT64_MAX;
	return true;
}

bool pd_kv_rdb_begin(struct pd_kv_rdb *rdb, struct pd_slice payload, uint64_t most)
{
	uint64_t count = 0;
	bool special = false;

	*rdb = (struct pd_kv_rdb){ .rest = pd_slice(payload.data + 1, payload.size - 1 - FOOTER_SIZE),
				   .is_hash = payload.data[0] != PD_KV_RDB_STRING };
	most = most < PD_VALUE_SIZE_MAX ? most : PD_VALUE_SIZE_MAX;
	pd_buffer_init(&rdb->packed, (size_t)most);
	pd_buffer_init(&rdb->string, (size_t)most);
	switch (payload.data[0]) {
	case PD_KV_RDB_STRING:
		rdb->left = 1;
		return true;
	case PD_KV_RDB_HASH:
		if (!take_length(rdb, &count, &special) || special || count == 0 || count > rdb->rest.size)
			return fail(rdb, PD_CORRUPT);
		rdb->left = 2 * count;
		return true;
	case TYPE_HASH_LISTPACK:
		return unpack(rdb, PD_KV_RDB_FORM_LISTPACK, 6);
	case TYPE_HASH_ZIPLIST:
		return unpack(rdb, PD_KV_RDB_FORM_ZIPLIST, 10);
	default:
		return fail(rdb, PD_NOT_SUPPORTED);
	}
}

bool pd_kv_rdb_next(struct pd_kv_rdb *rdb, struct pd_slice *ret_string)
{
	bool packed = rdb->form != PD_KV_RDB_FORM_STRINGS;

	if (rdb->failed != 0 || rdb->left == 0 || (packed && rdb->rest.size == 0)) {
		/* Something behind the last one, where nothing may be. */
		if (rdb->failed == 0 && rdb->rest.size != 0)
			(void)fail(rdb, PD_CORRUPT);
		return false;
	}
	if (!packed)
		rdb->left--;
	switch (rdb->form) {
	case PD_KV_RDB_FORM_STRINGS:
		return next_string(rdb, &rdb->string, ret_string);
	case PD_KV_RDB_FORM_LISTPACK:
		return next_of_listpack(rdb, ret_string);
	case PD_KV_RDB_FORM_ZIPLIST:
		return next_of_ziplist(rdb, ret_string);
	}
	return false;
}

void pd_kv_rdb_done(struct pd_kv_rdb *rdb)
{
	pd_buffer_done(&rdb->packed);
	pd_buffer_done(&rdb->string);
}
