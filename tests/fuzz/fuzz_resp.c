/* Requests parsed as a whole and in pieces must agree; stored replies are transcoded without a crash, and what
 * comes out is well-formed again. The first byte chooses the sizes of the pieces and the request maximum. */
#include <stdlib.h>

#include "base/assert.h"
#include "wire/resp.h"

/* What a client reads of it ends where the reply does. */
static void read_reply(struct pd_slice input)
{
	size_t size = pd_resp_reply_size(input.data, input.size);
	struct pd_slice whole = pd_slice(input.data, size), rest = whole, value;
	size_t pending = 1;

	if (size == 0 || size == (size_t)-1)
		return;
	while (pending > 0)
		pending += pd_reply_read(&rest).count - 1;
	PD_ASSERT(rest.size == 0);
	if (pd_reply_field(whole, "a", &value))
		PD_ASSERT(pd_resp_reply_size(value.data, value.size) > 0);
	pd_reply_skip(&whole);
	PD_ASSERT(whole.size == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void print(struct pd_buffer *out, const void *bytes, size_t size)
{
	PD_ASSERT(pd_buffer_append(out, bytes, size) == 0);
}

/* Feed pieces of `step` bytes, from memory that moves each time; the outcome as text. */
static void parse(struct pd_slice input, size_t max, size_t step, struct pd_buffer *out)
{
	struct pd_resp_parser *parser = pd_resp_parser_new(max);
	size_t front = 0, end = 0;
	enum pd_resp_status status = PD_RESP_MORE;

	PD_ASSERT(parser != NULL);
	while (status == PD_RESP_REQUEST || (status == PD_RESP_MORE && end < input.size)) {
		size_t consumed = 0, wanted = 0, size;
		struct pd_resp_request request;
		struct pd_error err;
		uint8_t *copy;

		if (status == PD_RESP_MORE)
			end = input.size - end > step ? end + step : input.size;
		size = end - front;
		copy = malloc(size > 0 ? size : 1);
		PD_ASSERT(copy != NULL);
		memcpy(copy, input.data + front, size);
		status = pd_resp_parse(parser, copy, size, &request, &consumed, &wanted, &err);
		if (status == PD_RESP_REQUEST) {
			PD_ASSERT(consumed > 0 && consumed <= size && consumed <= max);
			front += consumed;
			for (size_t i = 0; i < request.count; i++) {
				print(out, "<", 1);
				print(out, request.arguments[i].data, request.arguments[i].size);
			}
			print(out, "\n", 1);
		} else if (status == PD_RESP_MORE) {
			PD_ASSERT(wanted > size);
		} else {
			print(out, err.text, strlen(err.text));
		}
		free(copy);
	}
	pd_resp_parser_free(parser);
}

static void transcode(struct pd_slice input)
{
	size_t one = pd_resp_reply_size(input.data, input.size);

	for (int protocol = 2; protocol <= PD_RESP_STORED; protocol++) {
		struct pd_buffer out;
		struct pd_resp_writer writer = { .buffer = &out, .protocol = protocol };
		int result;

		pd_buffer_init(&out, 1 << 24);
		result = pd_resp_transcode(input, &writer);
		PD_ASSERT((result == 0) == (one == input.size && one > 0));
		if (result == 0)
			PD_ASSERT(pd_resp_reply_size(out.data, out.size) == out.size);
		else
			PD_ASSERT(out.size == 0);
		pd_buffer_done(&out);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pd_buffer whole, pieces;
	struct pd_slice input;
	size_t max, step;

	if (size == 0)
		return 0;
	input = pd_slice(data + 1, size - 1);
	step = 1 + (data[0] & 15);
	max = (data[0] & 128) != 0 ? 8 + (size_t)(data[0] & 127) : 1 << 20;
	pd_buffer_init(&whole, 1 << 24);
	pd_buffer_init(&pieces, 1 << 24);
	parse(input, max, SIZE_MAX, &whole);
	parse(input, max, step, &pieces);
	PD_ASSERT(pd_slice_equal(pd_buffer_slice(&whole), pd_buffer_slice(&pieces)));
	pd_buffer_done(&whole);
	pd_buffer_done(&pieces);
	transcode(input);
	read_reply(input);
	return 0;
}
