#include "cli/bench_request.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"

#define POOL_BYTES (1u << 20) /* of random bytes that values are cut from */

/* A request with the places of what changes from one to the next:
 *
 *   *3\r\n$3\r\nSET\r\n$16\r\n s:00000000000000 \r\n$100\r\n ……… \r\n
 *                              ^ key                          ^ value
 */
struct form {
	uint8_t *bytes;
	size_t size;
	size_t digits_end; /* where the key's last digit ends */
	size_t value;      /* where the value begins; 0: it has none */
};

struct pd_bench_requests {
	const struct pd_bench_plan *plan;
	struct form forms[PD_BENCH_KINDS];
	uint8_t *pool; /* POOL_BYTES and a value's size of random bytes */
	uint64_t random;
	uint64_t next_key; /* of a load in order */
	char bulk_header[32];
	size_t bulk_header_size;
};

/* Each kind: its name in reports, its command, the first letter of its keys, and the words after the key. */
static const struct {
	const char *name;
	const char *command;
	char letter;
	bool has_field, has_value;
} kinds[PD_BENCH_KINDS] = {
	[PD_BENCH_SET] = { "set", "SET", 's', false, true },
	[PD_BENCH_GET] = { "get", "GET", 's', false, false },
	[PD_BENCH_HSET] = { "hset", "HSET", 'h', true, true },
	[PD_BENCH_INCR] = { "incr", "INCR", 'c', false, false },
};

const char *pd_bench_kind_name(enum pd_bench_kind kind)
{
	return kinds[kind].name;
}

/* SplitMix64: fast, and good enough to pick keys and to fill values that do not compress.
 * Source: https://prng.di.unimi.it/splitmix64.c */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* Even enough over any range that a benchmark has: the high half of a 128-bit product. */
static uint64_t random_below(uint64_t *state, uint64_t limit)
{
	return (uint64_t)(((unsigned __int128)next_random(state) * limit) >> 64);
}

static int form_init(struct form *form, enum pd_bench_kind kind, const struct pd_bench_plan *plan)
{
	int words = 2 + (kinds[kind].has_field ? 1 : 0) + (kinds[kind].has_value ? 1 : 0);
	struct pd_buffer buffer;
	int result;

	pd_buffer_init(&buffer, (size_t)plan->value_size + PD_BENCH_KEY_SIZE_MAX + 256);
	result = pd_buffer_printf(&buffer, "*%d\r\n$%zu\r\n%s\r\n$%u\r\n%c:%0*d", words,
				  strlen(kinds[kind].command), kinds[kind].command, plan->key_size,
				  kinds[kind].letter, (int)plan->key_size - 2, 0);
	form->digits_end = buffer.size;
	if (result == 0 && kinds[kind].has_field)
		result = pd_buffer_printf(&buffer, "\r\n$5\r\nfield");
	if (result == 0 && kinds[kind].has_value) {
		result = pd_buffer_printf(&buffer, "\r\n$%u\r\n", plan->value_size);
		form->value = buffer.size;
		if (result == 0)
			result = pd_buffer_reserve(&buffer, plan->value_size);
		if (result == 0) {
			memset(buffer.data + buffer.size, 0, plan->value_size);
			buffer.size += plan->value_size;
		}
	}
	if (result == 0)
		result = pd_buffer_append(&buffer, "\r\n", 2);
	if (result != 0) {
		pd_buffer_done(&buffer);
		return result;
	}
	form->bytes = buffer.data;
	form->size = buffer.size;
	return 0;
}

static uint8_t *pool_new(uint64_t *random, size_t size)
{
	uint8_t *pool = pd_malloc(size + sizeof(uint64_t));

	for (size_t i = 0; pool != NULL && i < size; i += sizeof(uint64_t)) {
		uint64_t word = next_random(random);

		memcpy(pool + i, &word, sizeof(word));
	}
	return pool;
}

struct pd_bench_requests *pd_bench_requests_new(const struct pd_bench_plan *plan)
{
	struct pd_bench_requests *requests = pd_calloc(1, sizeof(*requests));

	if (requests == NULL)
		return NULL;
	requests->plan = plan;
	requests->random = plan->seed;
	requests->bulk_header_size = (size_t)snprintf(requests->bulk_header, sizeof(requests->bulk_header),
						      "$%u\r\n", plan->value_size);
	requests->pool = pool_new(&requests->random, (size_t)POOL_BYTES + plan->value_size);
	for (unsigned kind = 0; requests->pool != NULL && kind < PD_BENCH_KINDS; kind++) {
		if (form_init(&requests->forms[kind], kind, plan) != 0)
			goto no_memory;
	}
	if (requests->pool != NULL)
		return requests;
no_memory:
	pd_bench_requests_free(requests);
	return NULL;
}

void pd_bench_requests_free(struct pd_bench_requests *requests)
{
	if (requests == NULL)
		return;
	for (unsigned kind = 0; kind < PD_BENCH_KINDS; kind++)
		pd_free(requests->forms[kind].bytes);
	pd_free(requests->pool);
	pd_free(requests);
}

size_t pd_bench_requests_size_max(const struct pd_bench_requests *requests)
{
	size_t max = 0;

	for (unsigned kind = 0; kind < PD_BENCH_KINDS; kind++) {
		if (requests->forms[kind].size > max)
			max = requests->forms[kind].size;
	}
	return max;
}

/* Write the number backwards over the key's zeros; the digits to its left are zero for good. */
static void write_digits(uint8_t *end, uint64_t number)
{
	while (number > 0) {
		*--end = (uint8_t)('0' + number % 10);
		number /= 10;
	}
}

static enum pd_bench_kind append_one(struct pd_bench_requests *requests, struct pd_buffer *out)
{
	const struct pd_bench_plan *plan = requests->plan;
	bool read = plan->read_share > 0 && random_below(&requests->random, 100) < plan->read_share;
	enum pd_bench_kind kind = read ? PD_BENCH_GET : plan->write_kind;
	const struct form *form = &requests->forms[kind];
	uint8_t *bytes = out->data + out->size;
	uint64_t key = plan->in_order ? requests->next_key++ % plan->keys
				      : random_below(&requests->random, plan->keys);
	size_t head = form->value > 0 ? form->value : form->size;

	memcpy(bytes, form->bytes, head);
	write_digits(bytes + form->digits_end, key);
	if (form->value > 0) {
		const uint8_t *value = requests->pool + random_below(&requests->random, POOL_BYTES);

		memcpy(bytes + form->value, value, plan->value_size);
		memcpy(bytes + form->size - 2, "\r\n", 2);
	}
	out->size += form->size;
	return kind;
}

int pd_bench_requests_append(struct pd_bench_requests *requests, unsigned count, struct pd_buffer *out,
			     uint8_t *ret_kinds)
{
	int result = pd_buffer_reserve(out, count * pd_bench_requests_size_max(requests));

	if (result != 0)
		return result;
	for (unsigned i = 0; i < count; i++)
		ret_kinds[i] = (uint8_t)append_one(requests, out);
	return 0;
}

static enum pd_bench_verdict judge_value(const struct pd_bench_requests *requests, struct pd_slice reply)
{
	struct pd_slice header = pd_slice(requests->bulk_header, requests->bulk_header_size);

	if (pd_slice_equal(reply, pd_slice_string("$-1\r\n")) ||
	    pd_slice_equal(reply, pd_slice_string("_\r\n")))
		return PD_BENCH_REPLY_MISS;
	return pd_slice_starts_with(reply, header) ? PD_BENCH_REPLY_GOOD : PD_BENCH_REPLY_UNEXPECTED;
}

enum pd_bench_verdict pd_bench_requests_judge(const struct pd_bench_requests *requests,
					      enum pd_bench_kind kind, struct pd_slice reply)
{
	bool good = false;

	if (reply.data[0] == '-' || reply.data[0] == '!')
		return PD_BENCH_REPLY_ERROR;
	switch (kind) {
	case PD_BENCH_SET:
		good = pd_slice_equal(reply, pd_slice_string("+OK\r\n"));
		break;
	case PD_BENCH_GET:
		return judge_value(requests, reply);
	case PD_BENCH_HSET:
		good = pd_slice_equal(reply, pd_slice_string(":0\r\n")) ||
		       pd_slice_equal(reply, pd_slice_string(":1\r\n"));
		break;
	case PD_BENCH_INCR:
		good = reply.data[0] == ':' && reply.size > 3 && reply.data[1] != '-' && reply.data[1] != '0';
		break;
	case PD_BENCH_KINDS:
		break;
	}
	return good ? PD_BENCH_REPLY_GOOD : PD_BENCH_REPLY_UNEXPECTED;
}
