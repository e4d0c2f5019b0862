/* Requests: arrays of bulk strings, and inline commands.
 *
 * Complete requests take a fast path that reads each header byte once and never touches the payload. What is cut
 * short leaves its position in the parser. Two limits make every outcome independent of how the bytes were cut
 * into pieces: a line end is searched in a window of fixed size only, and no byte past request_bytes_max is
 * looked at. */
#include "wire/resp.h"

#include "base/assert.h"
#include "base/memory.h"

#define UNKNOWN         SIZE_MAX
#define LINE_WINDOW     ((size_t)PD_RESP_INLINE_MAX + 1) /* a line end past it comes too late */
#define ARGUMENTS_FIRST 16                               /* without an allocation: nearly all requests */
#define ARGUMENTS_KEPT  1024                             /* more are given back before the next request */
#define UNQUOTED_KEPT   1024
#define DIGITS_FAST     8 /* any number this long is below every limit on sizes */

struct pd_resp_parser {
	size_t request_bytes_max;

	/* The unfinished request. */
	size_t at;       /* bytes understood; what comes next begins here */
	size_t searched; /* bytes from `at` that are known to hold no line end */
	size_t expected; /* arguments announced; 0: no header yet */
	size_t count;    /* arguments complete, in `arguments` */
	size_t bulk;     /* size of the argument that begins at `at`; UNKNOWN: its header is next */
	size_t skipped;  /* of that argument and its line end, by pd_resp_skip() */
	/* Bytes that the caller has taken out of one argument: also when the request has to be parsed once more. */
	size_t taken, taken_argument;
	const uint8_t *base; /* where the input was when the arguments were cut from it */

	struct pd_slice *arguments; /* `first`, or from the heap */
	size_t capacity;
	struct pd_buffer unquoted; /* words of an inline command that had quotes */
	struct pd_slice first[ARGUMENTS_FIRST];
};

struct pd_resp_parser *pd_resp_parser_new(size_t request_bytes_max)
{
	struct pd_resp_parser *parser = pd_calloc(1, sizeof *parser);

	if (parser == NULL)
		return NULL;
	parser->request_bytes_max = request_bytes_max;
	parser->bulk = UNKNOWN;
	parser->arguments = parser->first;
	parser->capacity = ARGUMENTS_FIRST;
	pd_buffer_init(&parser->unquoted, PD_RESP_INLINE_MAX);
	return parser;
}

static void release_arguments(struct pd_resp_parser *parser)
{
	if (parser->arguments != parser->first)
		pd_free(parser->arguments);
	parser->arguments = parser->first;
	parser->capacity = ARGUMENTS_FIRST;
}

void pd_resp_parser_free(struct pd_resp_parser *parser)
{
	if (parser == NULL)
		return;
	release_arguments(parser);
	pd_buffer_done(&parser->unquoted);
	pd_free(parser);
}

static enum pd_resp_status malformed(struct pd_error *err, const char *what)
{
	(void)pd_error_set(err, PD_INVALID, "ERR Protocol error: %s", what);
	return PD_RESP_MALFORMED;
}

static enum pd_resp_status no_memory(struct pd_error *err)
{
	(void)pd_error_set(err, PD_NO_MEMORY, "%s out of memory for the arguments of a request",
			   pd_code_resp_prefix(PD_NO_MEMORY));
	return PD_RESP_MALFORMED;
}

/* Room for one more argument. The array doubles as arguments arrive, up to `most`: an announced count alone
 * allocates nothing. */
static bool make_room(struct pd_resp_parser *parser, size_t most)
{
	bool embedded = parser->arguments == parser->first;
	size_t capacity = parser->capacity > most / 2 ? most : parser->capacity * 2;
	struct pd_slice *grown;

	if (parser->count < parser->capacity)
		return true;
	PD_ASSERT(capacity > parser->capacity);
	grown = pd_realloc(embedded ? NULL : parser->arguments, capacity * sizeof *grown);
	if (grown == NULL)
		return false;
	if (embedded)
		memcpy(grown, parser->first, sizeof parser->first);
	parser->arguments = grown;
	parser->capacity = capacity;
	return true;
}

/* The plain number at `at` and its line end, which is "\r" and any byte, as Redis has it. Returns what follows;
 * NULL when it is not there in full or not plain, and the slow path has to say what it is. */
static inline const uint8_t *read_plain_length(const uint8_t *at, const uint8_t *end, size_t *ret_length)
{
	const uint8_t *begin = at;
	size_t length = 0;
	unsigned digit;

	while (at < end && (digit = (unsigned)*at - '0') <= 9) {
		length = length * 10 + digit;
		at++;
	}
	if (end - at < 2 || *at != '\r' || at == begin || at - begin > DIGITS_FAST ||
	    (*begin == '0' && at - begin > 1))
		return NULL;
	*ret_length = length;
	return at + 2;
}

/* What `searched` says holds for one position only. */
static inline void advance(struct pd_resp_parser *parser, size_t at)
{
	if (at != parser->at)
		parser->searched = 0;
	parser->at = at;
}

/* Take the arguments that are there as a whole, as long as nothing is out of the ordinary. */
static void take_arguments_fast(struct pd_resp_parser *parser, const uint8_t *data, size_t size)
{
	const uint8_t *at = data + parser->at;
	const uint8_t *end = data + size;
	struct pd_slice *argument = parser->arguments + parser->count;
	size_t left = parser->expected - parser->count;

	if (left > parser->capacity - parser->count)
		left = parser->capacity - parser->count;
	for (; left > 0; left--) {
		const uint8_t *bytes;
		size_t length;

		if (at == end || *at != '$')
			break;
		bytes = read_plain_length(at + 1, end, &length);
		if (bytes == NULL || (size_t)(end - bytes) < length + 2)
			break;
		*argument++ = pd_slice(bytes, length);
		at = bytes + length + 2;
	}
	parser->count = (size_t)(argument - parser->arguments);
	advance(parser, (size_t)(at - data));
}

/* The line "<mark>number\r\n" at `at`. PD_RESP_REQUEST: it is there; *ret_next is the position after it, and
 * *ret_text what stands between the mark and "\r". */
static enum pd_resp_status read_line(struct pd_resp_parser *parser, const uint8_t *data, size_t size,
				     const char *too_long, struct pd_slice *ret_text, size_t *ret_next,
				     struct pd_error *err)
{
	const uint8_t *line = data + parser->at;
	size_t there = size - parser->at;
	size_t window = there < LINE_WINDOW ? there : LINE_WINDOW;
	const uint8_t *end = NULL;

	if (window > parser->searched)
		end = memchr(line + parser->searched, '\r', window - parser->searched);
	if (end == NULL) {
		if (there >= LINE_WINDOW)
			return malformed(err, too_long);
		parser->searched = window;
		return PD_RESP_MORE;
	}
	parser->searched = (size_t)(end - line);
	if (there - parser->searched < 2)
		return PD_RESP_MORE;
	*ret_text = pd_slice(line + 1, parser->searched > 0 ? parser->searched - 1 : 0);
	*ret_next = parser->at + parser->searched + 2;
	return PD_RESP_REQUEST;
}

static enum pd_resp_status take_header(struct pd_resp_parser *parser, const uint8_t *data, size_t size,
				       struct pd_error *err)
{
	enum pd_resp_status status;
	struct pd_slice text;
	int64_t number;
	size_t next;

	status = read_line(parser, data, size, "too big mbulk count string", &text, &next, err);
	if (status != PD_RESP_REQUEST)
		return status;
	if (!pd_slice_to_int64(text, &number) || number > PD_RESP_ARGUMENTS_MAX)
		return malformed(err, "invalid multibulk length");
	advance(parser, next);
	parser->expected = number > 0 ? (size_t)number : 0;
	return PD_RESP_REQUEST;
}

static enum pd_resp_status take_bulk_header(struct pd_resp_parser *parser, const uint8_t *data, size_t size,
					    struct pd_error *err)
{
	enum pd_resp_status status;
	struct pd_slice text;
	int64_t number;
	size_t next;

	status = read_line(parser, data, size, "too big bulk count string", &text, &next, err);
	if (status != PD_RESP_REQUEST)
		return status;
	if (data[parser->at] != '$') {
		char got = (char)data[parser->at];

		/* The text goes out as one line, and is a C string. */
		if (got == '\r' || got == '\n' || got == '\0')
			got = ' ';
		(void)pd_error_set(err, PD_INVALID, "ERR Protocol error: expected '$', got '%c'", got);
		return PD_RESP_MALFORMED;
	}
	if (!pd_slice_to_int64(text, &number) || number < 0 || number > PD_RESP_BULK_MAX)
		return malformed(err, "invalid bulk length");
	advance(parser, next);
	parser->bulk = (size_t)number;
	if (parser->taken > 0 && parser->count == parser->taken_argument) {
		PD_ASSERT(parser->taken <= parser->bulk);
		parser->bulk -= parser->taken;
	}
	return PD_RESP_REQUEST;
}

/* Take one argument, whatever it looks like. */
static enum pd_resp_status take_argument(struct pd_resp_parser *parser, const uint8_t *data, size_t size,
					 struct pd_error *err)
{
	if (parser->bulk == UNKNOWN) {
		enum pd_resp_status status = take_bulk_header(parser, data, size, err);

		if (status != PD_RESP_REQUEST)
			return status;
	}
	/* Said at once, not after the client has sent all of it. */
	if (parser->bulk + 2 > parser->request_bytes_max - parser->at)
		return malformed(err, "too big request");
	if (size - parser->at < parser->bulk + 2)
		return PD_RESP_MORE;
	if (!make_room(parser, parser->expected))
		return no_memory(err);
	parser->arguments[parser->count++] = pd_slice(data + parser->at, parser->bulk);
	advance(parser, parser->at + parser->bulk + 2);
	parser->bulk = UNKNOWN;
	return PD_RESP_REQUEST;
}

static enum pd_resp_status parse_array(struct pd_resp_parser *parser, const uint8_t *data, size_t size,
				       struct pd_error *err)
{
	enum pd_resp_status status;

	if (parser->expected == 0) {
		const uint8_t *next = read_plain_length(data + 1, data + size, &parser->expected);

		if (next != NULL && parser->expected <= PD_RESP_ARGUMENTS_MAX) {
			advance(parser, (size_t)(next - data));
		} else {
			parser->expected = 0;
			status = take_header(parser, data, size, err);
			if (status != PD_RESP_REQUEST)
				return status;
		}
	}
	while (parser->count < parser->expected) {
		if (parser->bulk == UNKNOWN && parser->taken == 0)
			take_arguments_fast(parser, data, size);
		if (parser->count == parser->expected)
			break;
		status = take_argument(parser, data, size, err);
		if (status != PD_RESP_REQUEST)
			return status;
	}
	return PD_RESP_REQUEST;
}

/* ---- inline commands; the rules are those of sdssplitargs() in Redis ---- */

static bool is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* What ends a word without quotes. Redis skips \v and \f between words, yet takes them inside one. */
static bool ends_word(uint8_t c)
{
	return is_space(c) && c != '\v' && c != '\f';
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that is written as a backslash and `c` between double quotes. */
static uint8_t escaped(uint8_t c)
{
	switch (c) {
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	case 'b':
		return '\b';
	case 'a':
		return '\a';
	default:
		return c;
	}
}

/* Append what stands between the quote at `at` and the next one like it; there is room. Returns what follows,
 * NULL when the quotes are unbalanced. */
static const uint8_t *unquote(struct pd_buffer *to, const uint8_t *at, const uint8_t *end)
{
	uint8_t quote = *at++;

	for (; at < end && *at != quote; at++) {
		uint8_t byte = *at;

		if (byte == '\\' && end - at > 1) {
			if (quote == '\'') {
				if (at[1] == '\'')
					byte = *++at;
			} else if (end - at > 3 && at[1] == 'x' && hex_digit(at[2]) >= 0 &&
				   hex_digit(at[3]) >= 0) {
				byte = (uint8_t)(hex_digit(at[2]) * 16 + hex_digit(at[3]));
				at += 3;
			} else {
				byte = escaped(*++at);
			}
		}
		to->data[to->size++] = byte;
	}
	if (at == end)
		return NULL;
	at++;
	return at == end || is_space(*at) ? at : NULL;
}

static enum pd_resp_status split_words(struct pd_resp_parser *parser, const uint8_t *at, const uint8_t *end,
				       struct pd_error *err)
{
	struct pd_buffer *unquoted = &parser->unquoted;

	for (;;) {
		const uint8_t *word = at;
		struct pd_slice slice;

		while (word < end && is_space(*word))
			word++;
		if (word == end)
			return PD_RESP_REQUEST;
		for (at = word; at < end && !ends_word(*at) && *at != '"' && *at != '\'';)
			at++;
		slice = pd_slice(word, (size_t)(at - word));
		if (at < end && !ends_word(*at)) {
			size_t begin = unquoted->size;

			/* Unquoting never makes longer, so the first word reserves for all: nothing moves. */
			if (pd_buffer_reserve(unquoted, (size_t)(end - word)) != 0)
				return no_memory(err);
			memcpy(unquoted->data + begin, slice.data, slice.size);
			unquoted->size += slice.size;
			at = unquote(unquoted, at, end);
			if (at == NULL)
				return malformed(err, "unbalanced quotes in request");
			slice = pd_slice(unquoted->data + begin, unquoted->size - begin);
		}
		if (!make_room(parser, PD_RESP_ARGUMENTS_MAX))
			return no_memory(err);
		parser->arguments[parser->count++] = slice;
	}
}

static enum pd_resp_status parse_inline(struct pd_resp_parser *parser, const uint8_t *data, size_t size,
					struct pd_error *err)
{
	size_t window = size < LINE_WINDOW ? size : LINE_WINDOW;
	const uint8_t *end = NULL;

	if (window > parser->searched)
		end = memchr(data + parser->searched, '\n', window - parser->searched);
	if (end == NULL) {
		if (size >= LINE_WINDOW)
			return malformed(err, "too big inline request");
		parser->searched = window;
		return PD_RESP_MORE;
	}
	parser->at = (size_t)(end - data) + 1;
	if (end > data && end[-1] == '\r')
		end--;
	return split_words(parser, data, end, err);
}

/* ---- the door ---- */

static void begin_request(struct pd_resp_parser *parser)
{
	parser->at = 0;
	parser->searched = 0;
	parser->expected = 0;
	parser->count = 0;
	parser->bulk = UNKNOWN;
	parser->skipped = 0;
}

/* Make ready for bytes that may have moved since the last call. */
static void follow_input(struct pd_resp_parser *parser, const uint8_t *data)
{
	if (parser->at == 0) {
		if (parser->capacity > ARGUMENTS_KEPT)
			release_arguments(parser);
		if (parser->unquoted.size > 0) {
			pd_buffer_clear(&parser->unquoted);
			pd_buffer_shrink(&parser->unquoted, UNQUOTED_KEPT);
		}
	} else if (parser->base != data) {
		for (size_t i = 0; i < parser->count; i++) {
			size_t position = (size_t)((uintptr_t)parser->arguments[i].data -
						   (uintptr_t)parser->base);

			parser->arguments[i].data = data + position;
		}
	}
	parser->base = data;
}

enum pd_resp_status pd_resp_parse(struct pd_resp_parser *parser, const uint8_t *data, size_t size,
				  struct pd_resp_request *ret_request, size_t *ret_consumed,
				  size_t *ret_wanted, struct pd_error *err)
{
	size_t visible = size < parser->request_bytes_max ? size : parser->request_bytes_max;
	enum pd_resp_status status = PD_RESP_MORE;

	PD_ASSERT(visible >= parser->at);
	follow_input(parser, data);
	if (visible > 0)
		status = data[0] == '*' ? parse_array(parser, data, visible, err)
					: parse_inline(parser, data, visible, err);

	if (status == PD_RESP_REQUEST) {
		*ret_request = (struct pd_resp_request){ parser->arguments, parser->count };
		*ret_consumed = parser->at;
		begin_request(parser);
	} else if (status == PD_RESP_MORE) {
		if (visible == parser->request_bytes_max)
			return malformed(err, "too big request");
		*ret_wanted = parser->bulk == UNKNOWN ? size + 1 : parser->at + parser->bulk + 2;
	} else if (parser->expected == 0) {
		/* An inline command that failed: should it be tried again, then from its beginning. */
		begin_request(parser);
	}
	return status;
}

bool pd_resp_arriving(const struct pd_resp_parser *parser, struct pd_resp_arriving *ret_arriving)
{
	if (parser->expected == 0 || parser->bulk == UNKNOWN || parser->skipped > 0)
		return false;
	*ret_arriving = (struct pd_resp_arriving){ .arguments = parser->arguments,
						   .count = parser->count,
						   .expected = parser->expected,
						   .at = parser->at,
						   .size = parser->bulk };
	return true;
}

void pd_resp_take_arriving(struct pd_resp_parser *parser, size_t size)
{
	PD_ASSERT(parser->bulk != UNKNOWN && size <= parser->bulk);
	parser->bulk -= size;
	parser->taken += size;
	parser->taken_argument = parser->count;
}

void pd_resp_taken_done(struct pd_resp_parser *parser)
{
	parser->taken = 0;
}

size_t pd_resp_parser_memory(const struct pd_resp_parser *parser)
{
	return sizeof *parser + parser->unquoted.capacity +
	       (parser->arguments != parser->first ? parser->capacity * sizeof *parser->arguments : 0);
}

enum pd_resp_status pd_resp_skip(struct pd_resp_parser *parser, const uint8_t *data, size_t size,
				 size_t *ret_consumed, struct pd_error *err)
{
	enum pd_resp_status status = PD_RESP_REQUEST;

	PD_ASSERT(size >= parser->at);
	/* Where an inline command or a header ends is not known before it has ended. */
	if (parser->expected == 0)
		return malformed(err, "too big inline request");
	release_arguments(parser);
	while (parser->count < parser->expected) {
		size_t there, left;

		if (parser->bulk == UNKNOWN) {
			status = take_bulk_header(parser, data, size, err);
			if (status == PD_RESP_MALFORMED)
				return status;
			if (status == PD_RESP_MORE)
				break;
		}
		there = size - parser->at;
		left = parser->bulk + 2 - parser->skipped;
		if (there < left) {
			parser->skipped += there;
			advance(parser, size);
			status = PD_RESP_MORE;
			break;
		}
		advance(parser, parser->at + left);
		parser->count++;
		parser->bulk = UNKNOWN;
		parser->skipped = 0;
	}
	*ret_consumed = parser->at;
	if (status == PD_RESP_REQUEST) {
		begin_request(parser);
		parser->taken = 0;
	}
	parser->at = 0;
	return status;
}
