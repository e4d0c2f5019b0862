/* BITFIELD: integers of 1 to 64 bits anywhere in a string, highest bit first. */
#include "model/kv/kv_private.h"

enum field_operation { FIELD_GET, FIELD_SET, FIELD_INCRBY };
enum overflow { OVERFLOW_WRAP, OVERFLOW_SAT, OVERFLOW_FAIL };

struct step {
	enum field_operation operation;
	enum overflow overflow;
	bool is_signed;
	unsigned width;
	uint64_t bit;
	int64_t argument;
};

/* ---- parsing; false: the error reply is written ---- */

static bool parse_type(struct pd_call *call, struct pd_slice word, struct step *step)
{
	int64_t width = 0;
	bool is_signed = word.size > 0 && word.data[0] == 'i';
	bool is_unsigned = word.size > 0 && word.data[0] == 'u';

	if ((!is_signed && !is_unsigned) ||
	    !pd_slice_to_int64(pd_slice(word.data + 1, word.size - 1), &width) || width < 1 ||
	    width > (is_signed ? 64 : 63)) {
		pd_resp_write_error(call->reply, "ERR Invalid bitfield type. Use something like i16 u8. Note "
						 "that u64 is not supported but i64 is.");
		return false;
	}
	step->is_signed = is_signed;
	step->width = (unsigned)width;
	return true;
}

static bool parse_overflow(struct pd_call *call, struct pd_slice word, enum overflow *ret_overflow)
{
	if (pd_slice_equal_nocase(word, "wrap"))
		*ret_overflow = OVERFLOW_WRAP;
	else if (pd_slice_equal_nocase(word, "sat"))
		*ret_overflow = OVERFLOW_SAT;
	else if (pd_slice_equal_nocase(word, "fail"))
		*ret_overflow = OVERFLOW_FAIL;
	else {
		pd_resp_write_error(call->reply, "ERR Invalid OVERFLOW type specified");
		return false;
	}
	return true;
}

/* The step that begins at words[*at]; moves *at behind it. An OVERFLOW before it changes *overflow. `*ret_any` is
 * false if only that was there. */
static bool parse_step(struct pd_call *call, size_t *at, enum overflow *overflow, struct step *ret_step,
		       bool *ret_any)
{
	struct pd_slice word = call->words[*at];
	size_t left = call->count - *at - 1;
	struct step step = { .operation = FIELD_GET };

	*ret_any = false;
	if (pd_slice_equal_nocase(word, "overflow") && left >= 1) {
		*at += 2;
		return parse_overflow(call, call->words[*at - 1], overflow);
	}
	if (pd_slice_equal_nocase(word, "set") && left >= 3) {
		step.operation = FIELD_SET;
	} else if (pd_slice_equal_nocase(word, "incrby") && left >= 3) {
		step.operation = FIELD_INCRBY;
	} else if (!pd_slice_equal_nocase(word, "get") || left < 2) {
		pd_kv_error_syntax(call);
		return false;
	}
	if (!parse_type(call, call->words[*at + 1], &step) ||
	    !pd_kv_bit_offset_argument(call, call->words[*at + 2], step.width, &step.bit))
		return false;
	if (step.operation != FIELD_GET &&
	    !pd_kv_integer_argument(call, call->words[*at + 3], &step.argument))
		return false;
	*at += step.operation == FIELD_GET ? 3 : 4;
	step.overflow = *overflow;
	*ret_step = step;
	*ret_any = true;
	return true;
}

/* ---- bits ---- */

static uint64_t load(const uint8_t *bytes, size_t size, uint64_t bit, unsigned width)
{
	uint64_t number = 0;

	for (uint64_t i = bit; i < bit + width; i++) {
		unsigned one = i / 8 < size ? bytes[i / 8] >> (7 - i % 8) & 1u : 0;

		number = number << 1 | one;
	}
	return number;
}

static void store(uint8_t *bytes, uint64_t bit, unsigned width, uint64_t number)
{
	for (unsigned i = 0; i < width; i++) {
		uint64_t at = bit + i;
		uint8_t mask = (uint8_t)(1u << (7 - at % 8));

		if (number >> (width - 1 - i) & 1)
			bytes[at / 8] |= mask;
		else
			bytes[at / 8] &= (uint8_t)~mask;
	}
}

/* The number that the low bits stand for. */
static __int128 read_number(const struct step *step, uint64_t bits)
{
	uint64_t sign = UINT64_C(1) << (step->width - 1);

	if (step->width < 64)
		bits &= (sign << 1) - 1;
	if (!step->is_signed)
		return bits;
	return (int64_t)((bits ^ sign) - sign);
}

/* Bring the number into the range of the type. false: it does not fit and shall fail. */
static bool fit(const struct step *step, __int128 *number)
{
	__int128 one = 1;
	__int128 min = step->is_signed ? -(one << (step->width - 1)) : 0;
	__int128 max = step->is_signed ? -min - 1 : (one << step->width) - 1;

	if (*number >= min && *number <= max)
		return true;
	if (step->overflow == OVERFLOW_FAIL)
		return false;
	if (step->overflow == OVERFLOW_SAT)
		*number = *number < min ? min : max;
	else
		*number = read_number(step, (uint64_t)*number);
	return true;
}

/* Do one step on the string, and write its reply. `to` is the same bytes, NULL when no step writes. */
static void run_step(struct pd_call *call, const struct step *step, struct pd_slice from, uint8_t *to)
{
	__int128 old = read_number(step, load(from.data, from.size, step->bit, step->width));
	__int128 number = old;

	if (step->operation == FIELD_INCRBY)
		number = old + step->argument;
	else if (step->operation == FIELD_SET) /* -1 set to an unsigned field is too large, not too small */
		number = step->is_signed ? (__int128)step->argument : (__int128)(uint64_t)step->argument;
	if (!fit(step, &number)) {
		pd_resp_write_null(call->reply);
		return;
	}
	if (step->operation != FIELD_GET)
		store(to, step->bit, step->width, (uint64_t)number);
	pd_resp_write_integer(call->reply, (int64_t)(step->operation == FIELD_SET ? old : number));
}

/* ---- the command ---- */

/* Look at all steps; false: the error reply is written. *ret_size is how long a string the writes need, 0 without
 * writes. */
static bool check_steps(struct pd_call *call, size_t *ret_steps, uint64_t *ret_size)
{
	bool readonly = (call->command->flags & PD_COMMAND_READONLY) != 0;
	enum overflow overflow = OVERFLOW_WRAP;

	*ret_steps = 0;
	*ret_size = 0;
	for (size_t at = 2; at < call->count;) {
		struct step step;
		bool any;

		if (!parse_step(call, &at, &overflow, &step, &any))
			return false;
		if (!any)
			continue;
		++*ret_steps;
		if (step.operation == FIELD_GET)
			continue;
		if (readonly) {
			pd_resp_write_error(call->reply, "ERR BITFIELD_RO only supports the GET subcommand");
			return false;
		}
		if ((step.bit + step.width + 7) / 8 > *ret_size)
			*ret_size = (step.bit + step.width + 7) / 8;
	}
	return pd_kv_length_argument(call, 0, *ret_size);
}

static void run_steps(struct pd_call *call, size_t steps, struct pd_slice from, uint8_t *to)
{
	enum overflow overflow = OVERFLOW_WRAP;

	pd_resp_write_array(call->reply, steps);
	for (size_t at = 2; at < call->count;) {
		struct step step;
		bool any;

		/* check_steps() saw that they parse. */
		if (!parse_step(call, &at, &overflow, &step, &any))
			return;
		if (any)
			run_step(call, &step, from, to);
	}
}

int pd_kv_bitfield(struct pd_call *call)
{
	struct pd_entry entry = { .expires_us = 0 };
	struct pd_key key;
	struct pd_kv_work work;
	uint64_t needed;
	uint8_t *bytes;
	size_t steps;
	size_t size;
	bool changes;
	int r;

	if (!check_steps(call, &steps, &needed))
		return 0;
	r = pd_kv_find(call, call->words[1], PD_TYPE_STRING, &key, &entry);
	if (r <= 0)
		return r;
	if (needed == 0) {
		if (r == PD_KV_MISSING && (call->command->flags & PD_COMMAND_WRITE) != 0)
			pd_kv_tell_missed(call, &key); /* it only reads, though its name does not say so */
		run_steps(call, steps, entry.value, NULL);
		return 0;
	}
	size = needed > entry.value.size ? needed : entry.value.size;
	r = pd_kv_work_begin(call, size, &work);
	if (r < 0)
		return r;
	bytes = work.bytes;
	if (entry.value.size > 0)
		memcpy(bytes, entry.value.data, entry.value.size);
	memset(bytes + entry.value.size, 0, size - entry.value.size);
	run_steps(call, steps, pd_slice(bytes, size), bytes);
	changes = size > entry.value.size || memcmp(bytes, entry.value.data, size) != 0;
	r = 0;
	/* As in Redis, the string has grown even if all that was to be written there failed. */
	if (changes)
		r = pd_kv_put(call, &key, PD_TYPE_STRING, entry.expires_us, pd_slice(bytes, size));
	if (changes && r == 0)
		pd_kv_tell(call, PD_EVENT_STRING, "setbit", &key);
	pd_kv_work_end(&work);
	return r;
}
