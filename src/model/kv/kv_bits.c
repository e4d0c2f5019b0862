/* Strings as bits: bit 0 is the highest bit of byte 0. */
#include "base/codec.h"
#include "model/kv/kv_private.h"

bool pd_kv_bit_offset_argument(struct pd_call *call, struct pd_slice text, unsigned width, uint64_t *ret_bit)
{
	bool in_widths = width > 0 && text.size > 0 && text.data[0] == '#';
	int64_t offset;

	if (in_widths)
		text = pd_slice(text.data + 1, text.size - 1);
	if (!pd_slice_to_int64(text, &offset) || offset < 0 ||
	    (in_widths && __builtin_mul_overflow(offset, (int64_t)width, &offset)) ||
	    offset / 8 >= (int64_t)PD_VALUE_SIZE_MAX) {
		pd_resp_write_error(call->reply, "ERR bit offset is not an integer or out of range");
		return false;
	}
	*ret_bit = (uint64_t)offset;
	return true;
}

static bool get_bit(struct pd_slice bytes, uint64_t bit)
{
	return bit / 8 < bytes.size && (bytes.data[bit / 8] >> (7 - bit % 8) & 1) != 0;
}

int pd_kv_getbit(struct pd_call *call)
{
	struct pd_entry entry;
	struct pd_key key;
	uint64_t bit;
	int found;

	if (!pd_kv_bit_offset_argument(call, call->words[2], 0, &bit))
		return 0;
	found = pd_kv_find(call, call->words[1], PD_TYPE_STRING, &key, &entry);
	if (found <= 0)
		return found;
	pd_resp_write_integer(call->reply, found == PD_KV_FOUND && get_bit(entry.value, bit));
	return 0;
}

int pd_kv_setbit(struct pd_call *call)
{
	static const char not_a_bit[] = "ERR bit is not an integer or out of range";
	struct pd_entry entry = { .expires_us = 0 };
	struct pd_key key;
	bool was, grows;
	uint64_t bit;
	int64_t on;
	int r;

	if (!pd_kv_bit_offset_argument(call, call->words[2], 0, &bit) ||
	    !pd_kv_integer_argument_or(call, call->words[3], not_a_bit, &on))
		return 0;
	if (on != 0 && on != 1) {
		pd_resp_write_error(call->reply, not_a_bit);
		return 0;
	}
	r = pd_kv_find(call, call->words[1], PD_TYPE_STRING, &key, &entry);
	if (r <= 0)
		return r;
	r = 0;
	was = get_bit(entry.value, bit);
	grows = bit / 8 >= entry.value.size;
	if (grows || was != (on == 1)) {
		uint8_t mask = (uint8_t)(1 << (7 - bit % 8));
		uint8_t byte = grows ? 0 : entry.value.data[bit / 8];

		byte = on == 1 ? byte | mask : byte & (uint8_t)~mask;
		r = pd_kv_put_patched(call, &key, entry.expires_us, entry.value, bit / 8, pd_slice(&byte, 1));
	}
	if (r < 0)
		return r;
	if (grows || was != (on == 1))
		pd_kv_tell(call, PD_EVENT_STRING, "setbit", &key);
	pd_resp_write_integer(call->reply, was);
	return 0;
}

/* ---- ranges of bits ---- */

/* BYTE or BIT; false: the error reply is written. */
static bool unit_argument(struct pd_call *call, struct pd_slice word, bool *ret_in_bits)
{
	*ret_in_bits = pd_slice_equal_nocase(word, "bit");
	if (*ret_in_bits || pd_slice_equal_nocase(word, "byte"))
		return true;
	pd_kv_error_syntax(call);
	return false;
}

/* The byte at `i` with zeros for the bits before `first` and behind `last` (numbers of bits). */
static uint8_t byte_within(struct pd_slice bytes, uint64_t i, uint64_t first, uint64_t last)
{
	unsigned byte = bytes.data[i];

	if (i == first / 8)
		byte &= 0xffu >> (first % 8);
	if (i == last / 8)
		byte &= 0xffu << (7 - last % 8);
	return (uint8_t)byte;
}

static uint64_t count_bits(struct pd_slice bytes, uint64_t first, uint64_t last)
{
	uint64_t end = last / 8 + 1;
	uint64_t count = 0;
	uint64_t i = first / 8;

	while (i < end) {
		/* A word at a time, where neither end is cut. */
		if (i > first / 8 && i + 8 < end) {
			count += (uint64_t)__builtin_popcountll(pd_load_u64(bytes.data + i));
			i += 8;
		} else {
			count += (uint64_t)__builtin_popcount(byte_within(bytes, i++, first, last));
		}
	}
	return count;
}

int pd_kv_bitcount(struct pd_call *call)
{
	struct pd_entry entry;
	uint64_t first, last;
	bool in_bits = false;
	int64_t start = 0, end = -1;
	struct pd_key key;
	uint64_t count = 0;
	int found = pd_kv_find(call, call->words[1], PD_TYPE_STRING, &key, &entry);

	if (found <= 0)
		return found;
	/* Redis looks at the rest only when there is a string. */
	if (found == PD_KV_MISSING) {
		pd_resp_write_integer(call->reply, 0);
		return 0;
	}
	if (call->count == 3 || call->count > 5) {
		pd_kv_error_syntax(call);
		return 0;
	}
	if (call->count >= 4 && (!pd_kv_integer_argument(call, call->words[2], &start) ||
				 !pd_kv_integer_argument(call, call->words[3], &end)))
		return 0;
	if (start < 0 && end < 0 && start > end) {
		pd_resp_write_integer(call->reply, 0);
		return 0;
	}
	if (call->count == 5 && !unit_argument(call, call->words[4], &in_bits))
		return 0;
	if (pd_kv_range(start, end, entry.value.size * (in_bits ? 8 : 1), &first, &last))
		count = in_bits ? count_bits(entry.value, first, last)
				: count_bits(entry.value, first * 8, last * 8 + 7);
	pd_resp_write_integer(call->reply, (int64_t)count);
	return 0;
}

/* The first bit from `first` to `last` that is `wanted`; -1: none. */
static int64_t find_bit(struct pd_slice bytes, bool wanted, uint64_t first, uint64_t last)
{
	uint64_t skipped = wanted ? 0 : UINT64_MAX;
	uint64_t bit = first;

	while (bit <= last) {
		if (bit % 8 == 0 && last - bit >= 63 && pd_load_u64(bytes.data + bit / 8) == skipped)
			bit += 64;
		else if (bit % 8 == 0 && last - bit >= 7 && bytes.data[bit / 8] == (uint8_t)skipped)
			bit += 8;
		else if (get_bit(bytes, bit) == wanted)
			return (int64_t)bit;
		else
			bit++;
	}
	return -1;
}

/* Start, end and unit of BITPOS from words[3] on. false: the error reply is written. */
static bool parse_bitpos_range(struct pd_call *call, int64_t *ret_start, int64_t *ret_end, bool *ret_in_bits)
{
	*ret_start = 0;
	*ret_end = -1;
	*ret_in_bits = false;
	if (call->count > 6) {
		pd_kv_error_syntax(call);
		return false;
	}
	if (call->count >= 4 && !pd_kv_integer_argument(call, call->words[3], ret_start))
		return false;
	if (call->count == 6 && !unit_argument(call, call->words[5], ret_in_bits))
		return false;
	return call->count < 5 || pd_kv_integer_argument(call, call->words[4], ret_end);
}

int pd_kv_bitpos(struct pd_call *call)
{
	int64_t wanted, start, end;
	struct pd_entry entry;
	uint64_t first, last;
	struct pd_key key;
	int64_t at = -1;
	bool in_bits;
	int found;

	if (!pd_kv_integer_argument(call, call->words[2], &wanted))
		return 0;
	if (wanted != 0 && wanted != 1) {
		pd_resp_write_error(call->reply, "ERR The bit argument must be 1 or 0.");
		return 0;
	}
	found = pd_kv_find(call, call->words[1], PD_TYPE_STRING, &key, &entry);
	if (found <= 0)
		return found;
	if (found == PD_KV_MISSING) {
		pd_resp_write_integer(call->reply, wanted == 1 ? -1 : 0);
		return 0;
	}
	if (!parse_bitpos_range(call, &start, &end, &in_bits))
		return 0;
	if (pd_kv_range(start, end, entry.value.size * (in_bits ? 8 : 1), &first, &last)) {
		at = in_bits ? find_bit(entry.value, wanted == 1, first, last)
			     : find_bit(entry.value, wanted == 1, first * 8, last * 8 + 7);
		/* Without an end, zeros follow the string for ever. */
		if (at < 0 && wanted == 0 && call->count < 5)
			at = (int64_t)entry.value.size * 8;
	}
	pd_resp_write_integer(call->reply, at);
	return 0;
}

/* ---- BITOP ---- */

enum bit_operation { BIT_AND, BIT_OR, BIT_XOR, BIT_NOT };

/* false: the error reply is written. */
static bool parse_operation(struct pd_call *call, enum bit_operation *ret_operation)
{
	struct pd_slice word = call->words[1];

	if (pd_slice_equal_nocase(word, "and")) {
		*ret_operation = BIT_AND;
	} else if (pd_slice_equal_nocase(word, "or")) {
		*ret_operation = BIT_OR;
	} else if (pd_slice_equal_nocase(word, "xor")) {
		*ret_operation = BIT_XOR;
	} else if (pd_slice_equal_nocase(word, "not")) {
		*ret_operation = BIT_NOT;
	} else {
		pd_kv_error_syntax(call);
		return false;
	}
	if (*ret_operation == BIT_NOT && call->count != 4) {
		pd_resp_write_error(call->reply, "ERR BITOP NOT must be called with a single source key.");
		return false;
	}
	return true;
}

/* Bring one source into the result. A source that is shorter is filled up with zeros. */
static void combine(enum bit_operation operation, bool is_first, struct pd_slice source, uint8_t *result,
		    size_t size)
{
	for (size_t i = 0; i < source.size; i++) {
		uint8_t byte = source.data[i];

		if (operation == BIT_NOT)
			result[i] = (uint8_t)~byte;
		else if (is_first)
			result[i] = byte;
		else if (operation == BIT_AND)
			result[i] &= byte;
		else if (operation == BIT_OR)
			result[i] |= byte;
		else
			result[i] ^= byte;
	}
	if ((is_first || operation == BIT_AND) && source.size < size)
		memset(result + source.size, 0, size - source.size);
}

/* The longest source. Returns as pd_kv_find() does. */
static int measure_sources(struct pd_call *call, size_t *ret_size)
{
	*ret_size = 0;
	for (size_t i = 3; i < call->count; i++) {
		struct pd_entry entry;
		struct pd_key key;
		int found = pd_kv_find_string(call, call->words[i], &key, &entry);

		if (found <= 0)
			return found;
		if (found == PD_KV_MISSING)
			pd_kv_tell_missed(call, &key);
		else if (pd_kv_string_size(&entry) > *ret_size)
			*ret_size = (size_t)pd_kv_string_size(&entry);
	}
	return PD_KV_FOUND;
}

static int put_combined(struct pd_call *call, enum bit_operation operation, struct pd_key *target,
			size_t size)
{
	struct pd_kv_work work;
	uint8_t *result;
	int r = pd_kv_work_begin(call, size, &work);

	if (r < 0)
		return r;
	result = work.bytes;
	for (size_t i = 3; i < call->count; i++) {
		struct pd_slice source = { NULL, 0 };
		struct pd_entry entry;
		struct pd_key key;

		r = pd_kv_find(call, call->words[i], PD_TYPE_STRING, &key, &entry);
		if (r < 0)
			goto out;
		if (r == PD_KV_FOUND)
			source = entry.value;
		combine(operation, i == 3, source, result, size);
	}
	r = pd_kv_put(call, target, PD_TYPE_STRING, 0, pd_slice(result, size));
out:
	pd_kv_work_end(&work);
	return r;
}

int pd_kv_bitop(struct pd_call *call)
{
	enum bit_operation operation;
	struct pd_entry entry;
	struct pd_key target;
	bool deletes;
	size_t size;
	int r;

	if (!parse_operation(call, &operation))
		return 0;
	r = measure_sources(call, &size);
	if (r <= 0)
		return r;
	r = pd_kv_key(call, call->words[2], &target);
	if (r < 0)
		return r;
	deletes = size == 0 && pd_txn_get(call->txn, &target, &entry);
	if (size > 0)
		r = put_combined(call, operation, &target, size);
	else if (deletes)
		r = pd_kv_delete(call, &target, &entry);
	if (r < 0)
		return r;
	if (deletes)
		pd_kv_tell(call, PD_EVENT_GENERIC, "del", &target);
	else if (size > 0)
		pd_kv_tell(call, PD_EVENT_STRING, "set", &target);
	pd_resp_write_integer(call->reply, (int64_t)size);
	return 0;
}
