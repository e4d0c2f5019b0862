/* Requests of HTTP/1.1, and what they would like to get. */
#include "wire/http.h"

#include <string.h>

/* Reading one request: what has been found wrong, if anything. */
struct reading {
	struct pd_http_request *request;
	unsigned status; /* 0: nothing is wrong */
	const char *why;
	unsigned minor; /* HTTP/1.minor */
	unsigned hosts;
	bool has_length;
	uint64_t body_size;
	bool close, keep_alive; /* as Connection says */
};

static bool wrong(struct reading *reading, unsigned status, const char *why)
{
	reading->status = status;
	reading->why = why;
	return false;
}

/* RFC 9110, 5.6.2. */
static bool is_token_byte(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(struct pd_slice text)
{
	for (size_t i = 0; i < text.size; i++)
		if (!is_token_byte(text.data[i]))
			return false;
	return text.size > 0;
}

static struct pd_slice trim(struct pd_slice text)
{
	while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
		text = pd_slice(text.data + 1, text.size - 1);
	while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
		text.size--;
	return text;
}

/* Cut `text` at the first `mark`: returns what is before it, *text becomes what is behind it (or empty). */
static struct pd_slice cut(struct pd_slice *text, uint8_t mark)
{
	const uint8_t *at = text->size > 0 ? memchr(text->data, mark, text->size) : NULL;
	struct pd_slice before = *text;

	if (at == NULL) {
		*text = pd_slice(text->data + text->size, 0);
		return before;
	}
	before.size = (size_t)(at - text->data);
	*text = pd_slice(at + 1, text->size - before.size - 1);
	return before;
}

/* ---- the request line ---- */

/* "/path?query", or the same behind "http://host" as a proxy would have it, or "*". */
static bool take_target(struct reading *reading, struct pd_slice target)
{
	struct pd_http_request *request = reading->request;

	for (size_t i = 0; i < target.size; i++)
		if (target.data[i] <= ' ' || target.data[i] >= 0x7f)
			return wrong(reading, 400, "the request target has a byte that has no place there");
	if (target.size > 7 && pd_slice_equal_nocase(pd_slice(target.data, 7), "http://")) {
		const uint8_t *slash = memchr(target.data + 7, '/', target.size - 7);

		target = slash != NULL ? pd_slice(slash, target.size - (size_t)(slash - target.data))
				       : pd_slice_string("/");
	}
	if (target.size == 0 || (target.data[0] != '/' && !pd_slice_equal(target, pd_slice_string("*"))))
		return wrong(reading, 400, "the request target is no path");
	request->path = cut(&target, '?');
	request->query = target;
	return true;
}

static bool take_line(struct reading *reading, struct pd_slice line)
{
	struct pd_slice method = cut(&line, ' '), target = cut(&line, ' ');

	if (!is_token(method))
		return wrong(reading, 400, "this is no HTTP request");
	if (line.size == 8 && memcmp(line.data, "HTTP/", 5) == 0 && line.data[6] == '.' &&
	    line.data[5] != '1')
		return wrong(reading, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
	if (line.size != 8 || memcmp(line.data, "HTTP/1.", 7) != 0 || line.data[7] < '0' ||
	    line.data[7] > '9')
		return wrong(reading, 400, "the request line does not end with HTTP/1.1");
	reading->minor = line.data[7] == '0' ? 0 : 1;
	reading->request->method = method;
	return take_target(reading, target);
}

/* ---- fields ---- */

static bool take_length(struct reading *reading, struct pd_slice value)
{
	int64_t length;

	if (reading->has_length || !pd_slice_to_int64(value, &length) || length < 0)
		return wrong(reading, 400, "Content-Length is not one number");
	if (length > (int64_t)PD_HTTP_BODY_MAX)
		return wrong(reading, 413, "nothing here takes a body of that size");
	reading->has_length = true;
	reading->body_size = (uint64_t)length;
	return true;
}

static void take_connection(struct reading *reading, struct pd_slice value)
{
	while (value.size > 0) {
		struct pd_slice option = trim(cut(&value, ','));

		reading->close = reading->close || pd_slice_equal_nocase(option, "close");
		reading->keep_alive = reading->keep_alive || pd_slice_equal_nocase(option, "keep-alive");
	}
}

/* Fields that say how the message itself is to be read. */
static bool look_at_field(struct reading *reading, const struct pd_http_field *field)
{
	if (pd_slice_equal_nocase(field->name, "content-length"))
		return take_length(reading, field->value);
	if (pd_slice_equal_nocase(field->name, "transfer-encoding"))
		return wrong(reading, 501, "a body in chunks is not taken here; send Content-Length");
	if (pd_slice_equal_nocase(field->name, "expect"))
		return wrong(reading, 417, "Expect is not met here; send the request without it");
	if (pd_slice_equal_nocase(field->name, "host"))
		reading->hosts++;
	if (pd_slice_equal_nocase(field->name, "connection"))
		take_connection(reading, field->value);
	return true;
}

static bool take_field(struct reading *reading, struct pd_slice line)
{
	struct pd_http_request *request = reading->request;
	struct pd_http_field *field;
	struct pd_slice name, value = line;

	if (request->field_count == PD_HTTP_FIELDS_MAX)
		return wrong(reading, 431, "the request has more than 64 header fields");
	if (memchr(line.data, ':', line.size) == NULL)
		return wrong(reading, 400, "a header field has no colon");
	name = cut(&value, ':');
	if (!is_token(name))
		return wrong(reading, 400, "the name of a header field has a byte that has no place there");
	value = trim(value);
	for (size_t i = 0; i < value.size; i++)
		if ((value.data[i] < ' ' && value.data[i] != '\t') || value.data[i] == 0x7f)
			return wrong(reading, 400, "the value of a header field has a control character");
	field = &request->fields[request->field_count++];
	*field = (struct pd_http_field){ name, value };
	return look_at_field(reading, field);
}

/* ---- the head ---- */

/* The next line of the head, without its CR LF. false: it is not complete, or does not end as it must. */
static bool next_line(struct reading *reading, struct pd_slice *rest, struct pd_slice *ret_line)
{
	const uint8_t *end = rest->size > 0 ? memchr(rest->data, '\n', rest->size) : NULL;

	if (end == NULL)
		return false;
	if (end == rest->data || end[-1] != '\r')
		return wrong(reading, 400, "a line of the head does not end with CR LF");
	*ret_line = pd_slice(rest->data, (size_t)(end - rest->data) - 1);
	*rest = pd_slice(end + 1, rest->size - ret_line->size - 2);
	return true;
}

/* true: the head is complete and right, and *rest is what follows it. */
static bool take_head(struct reading *reading, struct pd_slice *rest)
{
	struct pd_slice line;

	if (!next_line(reading, rest, &line))
		return false;
	/* RFC 9112, 2.2: an empty line in front of a request is passed over. */
	if (line.size == 0 && !next_line(reading, rest, &line))
		return false;
	if (!take_line(reading, line))
		return false;
	for (;;) {
		if (!next_line(reading, rest, &line))
			return false;
		if (line.size == 0)
			return true;
		if (!take_field(reading, line))
			return false;
	}
}

static bool check_head(struct reading *reading)
{
	if (reading->hosts > 1 || (reading->minor == 1 && reading->hosts == 0))
		return wrong(reading, 400, "a request of HTTP/1.1 has exactly one Host");
	return true;
}

enum pd_http_outcome pd_http_parse(struct pd_slice input, struct pd_http_request *ret_request,
				   size_t *ret_consumed, unsigned *ret_status, const char **ret_why)
{
	struct reading reading = { .request = ret_request };
	struct pd_slice rest = pd_slice(input.data,
					input.size < PD_HTTP_HEAD_MAX ? input.size : PD_HTTP_HEAD_MAX);
	bool complete;

	ret_request->field_count = 0;
	complete = take_head(&reading, &rest) && check_head(&reading);
	if (!complete && reading.status == 0 && input.size >= PD_HTTP_HEAD_MAX)
		(void)wrong(&reading, 431, "the head of the request is larger than 8 KiB");
	if (reading.status != 0) {
		*ret_status = reading.status;
		*ret_why = reading.why;
		return PD_HTTP_MALFORMED;
	}
	if (!complete)
		return PD_HTTP_MORE;
	*ret_consumed = (size_t)(rest.data - input.data) + (size_t)reading.body_size;
	if (*ret_consumed > input.size)
		return PD_HTTP_MORE;
	ret_request->keep_alive = !reading.close && (reading.minor == 1 || reading.keep_alive);
	return PD_HTTP_REQUEST;
}

struct pd_slice pd_http_field(const struct pd_http_request *request, const char *name)
{
	for (size_t i = 0; i < request->field_count; i++)
		if (pd_slice_equal_nocase(request->fields[i].name, name))
			return request->fields[i].value;
	return pd_slice(NULL, 0);
}

/* ---- what the client would like ---- */

/* "0.75" in thousandths; what cannot be read counts as 1. RFC 9110, 12.4.2. */
static unsigned parse_weight(struct pd_slice text)
{
	unsigned weight = 0, unit = 100;

	if (text.size == 0 || text.size > 5 || (text.data[0] != '0' && text.data[0] != '1'))
		return 1000;
	if (text.data[0] == '1')
		return 1000;
	for (size_t i = 2; i < text.size; i++, unit /= 10) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return 1000;
		weight += (unsigned)(text.data[i] - '0') * unit;
	}
	return weight;
}

/* How well does a range of Accept ("text/plain; version=0.0.4; q=0.5") fit the type? 0: not; else 1 to 3, the more the
 * closer. */
static unsigned closeness(struct pd_slice range, const char *type, unsigned *ret_weight)
{
	struct pd_slice name = trim(cut(&range, ';'));
	const char *slash = strchr(type, '/');
	size_t major = slash != NULL ? (size_t)(slash - type) : 0;

	*ret_weight = 1000;
	while (range.size > 0) {
		struct pd_slice parameter = trim(cut(&range, ';'));

		if (parameter.size > 2 && (parameter.data[0] | 0x20) == 'q' && parameter.data[1] == '=')
			*ret_weight = parse_weight(pd_slice(parameter.data + 2, parameter.size - 2));
	}
	if (pd_slice_equal_nocase(name, type))
		return 3;
	if (name.size == major + 2 && memcmp(name.data + major, "/*", 2) == 0 &&
	    strncmp((const char *)name.data, type, major) == 0)
		return 2;
	return pd_slice_equal_nocase(name, "*/*") ? 1 : 0;
}

static unsigned weight_of(struct pd_slice accept, const char *type)
{
	unsigned best = 0, weight = 0;

	while (accept.size > 0) {
		unsigned here, close = closeness(cut(&accept, ','), type, &here);

		/* The closest range decides; of several as close (versions of one type) the most wanted. */
		if (close > best || (close == best && close > 0 && here > weight)) {
			best = close;
			weight = here;
		}
	}
	return weight;
}

size_t pd_http_choose_type(const struct pd_http_request *request, const char *const *types)
{
	struct pd_slice accept = pd_http_field(request, "accept");
	unsigned best_weight = 0;
	size_t best = 0;

	for (size_t i = 0; types[i] != NULL; i++) {
		unsigned weight = weight_of(accept, types[i]);

		if (weight > best_weight) {
			best_weight = weight;
			best = i;
		}
	}
	return best;
}
