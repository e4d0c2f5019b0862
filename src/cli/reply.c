#include "cli/reply.h"

#include <inttypes.h>

#include "wire/resp.h"

#define DEPTH_MAX 64 /* nobody reads further, and a hostile server shall not use up the stack */
#define DIM       "\033[2m"
#define RED       "\033[31m"
#define PLAIN     "\033[0m"

bool pd_reply_is_error(struct pd_slice reply)
{
	return pd_reply_read(&reply).kind == PD_REPLY_ERROR;
}

/* ---- for people ---- */

struct pretty {
	struct pd_output *output;
	bool colour;
};

static void coloured(const struct pretty *pretty, const char *colour, const char *text)
{
	if (pretty->colour)
		pd_output_text(pretty->output, "%s%s%s", colour, text, PLAIN);
	else
		pd_output_text(pretty->output, "%s", text);
}

/* Lines as they are, all else that is not plain escaped: INFO is to be read, and no terminal obeys it. */
static void print_lines(struct pd_output *output, struct pd_slice text)
{
	size_t began = 0;

	for (size_t at = 0; at <= text.size; at++) {
		size_t end = at;

		if (at < text.size && text.data[at] != '\n')
			continue;
		if (end > began && text.data[end - 1] == '\r')
			end--;
		pd_output_lax(output, pd_slice(text.data + began, end - began));
		if (at < text.size)
			pd_output_text(output, "\n");
		began = at + 1;
	}
}

static void print_text(const struct pretty *pretty, const struct pd_reply *reply)
{
	struct pd_output *output = pretty->output;

	switch (reply->mark) {
	case '+':
		pd_output_lax(output, reply->text);
		break;
	case '=':
		print_lines(output, reply->text);
		break;
	case ',':
		coloured(pretty, DIM, "(double) ");
		pd_output_lax(output, reply->text);
		break;
	case '(':
		coloured(pretty, DIM, "(big number) ");
		pd_output_lax(output, reply->text);
		break;
	default:
		pd_output_preview(output, reply->text, SIZE_MAX);
		break;
	}
}

static void print_scalar(const struct pretty *pretty, const struct pd_reply *reply)
{
	struct pd_output *output = pretty->output;

	switch (reply->kind) {
	case PD_REPLY_TEXT:
		print_text(pretty, reply);
		break;
	case PD_REPLY_ERROR:
		pd_output_text(output, "%s(error) ", pretty->colour ? RED : "");
		pd_output_lax(output, reply->text);
		pd_output_text(output, "%s", pretty->colour ? PLAIN : "");
		break;
	case PD_REPLY_INTEGER:
		if (reply->mark == '#') {
			pd_output_text(output, "%s", reply->integer != 0 ? "(true)" : "(false)");
			break;
		}
		coloured(pretty, DIM, "(integer) ");
		pd_output_text(output, "%" PRId64, reply->integer);
		break;
	case PD_REPLY_NULL:
		coloured(pretty, DIM, "(nil)");
		break;
	case PD_REPLY_LIST:
		break;
	}
	pd_output_text(output, "\n");
}

static const char *name_of_empty(char mark)
{
	switch (mark) {
	case '%':
		return "(empty map)";
	case '~':
		return "(empty set)";
	default:
		return "(empty array)";
	}
}

static char sign_of(char mark)
{
	switch (mark) {
	case '%':
		return '#';
	case '~':
		return '~';
	case '>':
		return '>';
	default:
		return ')';
	}
}

static unsigned digits_of(size_t number)
{
	unsigned digits = 1;

	for (; number >= 10; number /= 10)
		digits++;
	return digits;
}

static void print_value(const struct pretty *pretty, struct pd_slice *rest, unsigned indent, unsigned depth);

/* The name of a map's entry, and what leads to its value. */
static void print_name(const struct pretty *pretty, struct pd_slice *rest, unsigned indent, unsigned depth)
{
	struct pd_slice at = *rest;
	struct pd_reply name = pd_reply_read(&at);

	if (name.kind == PD_REPLY_LIST) {
		print_value(pretty, rest, indent, depth);
		pd_output_text(pretty->output, "%*s", (int)indent, "");
	} else if (name.kind == PD_REPLY_INTEGER) {
		pd_output_text(pretty->output, "%" PRId64, name.integer);
		*rest = at;
	} else {
		print_text(pretty, &name);
		*rest = at;
	}
	at = *rest;
	name = pd_reply_read(&at);
	/* A list begins on a line of its own, below. */
	if (name.kind == PD_REPLY_LIST && name.count > 0) {
		coloured(pretty, DIM, " =>");
		pd_output_text(pretty->output, "\n%*s", (int)indent, "");
	} else {
		coloured(pretty, DIM, " => ");
	}
}

static void print_list(const struct pretty *pretty, const struct pd_reply *list, struct pd_slice *rest,
		       unsigned indent, unsigned depth)
{
	bool map = list->mark == '%';
	size_t count = map ? list->count / 2 : list->count;
	unsigned digits = digits_of(count), inner = indent + digits + 2;
	char number[48];

	if (count == 0) {
		coloured(pretty, DIM, name_of_empty(list->mark));
		pd_output_text(pretty->output, "\n");
		return;
	}
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			pd_output_text(pretty->output, "%*s", (int)indent, "");
		(void)snprintf(number, sizeof number, "%*zu%c ", (int)digits, i + 1, sign_of(list->mark));
		coloured(pretty, DIM, number);
		if (map)
			print_name(pretty, rest, inner, depth);
		print_value(pretty, rest, inner, depth);
	}
}

static void print_value(const struct pretty *pretty, struct pd_slice *rest, unsigned indent, unsigned depth)
{
	struct pd_slice whole = *rest;
	struct pd_reply reply = pd_reply_read(rest);

	if (reply.kind != PD_REPLY_LIST) {
		print_scalar(pretty, &reply);
	} else if (depth == DEPTH_MAX) {
		*rest = whole;
		pd_reply_skip(rest);
		pd_output_text(pretty->output, "… (nested more than %d deep)\n", DEPTH_MAX);
	} else {
		print_list(pretty, &reply, rest, indent, depth + 1);
	}
}

/* ---- for scripts ---- */

/* Every item on a line, however deep it lies. */
static void print_raw(struct pd_output *output, struct pd_slice reply)
{
	size_t pending = 1;

	while (pending > 0) {
		struct pd_reply item = pd_reply_read(&reply);

		pending--;
		switch (item.kind) {
		case PD_REPLY_TEXT:
		case PD_REPLY_ERROR:
			(void)fwrite(item.text.data, 1, item.text.size, output->file);
			break;
		case PD_REPLY_INTEGER:
			if (item.mark == '#')
				pd_output_text(output, "%s", item.integer != 0 ? "true" : "false");
			else
				pd_output_text(output, "%" PRId64, item.integer);
			break;
		case PD_REPLY_NULL:
			break;
		case PD_REPLY_LIST:
			pending += item.count;
			continue;
		}
		pd_output_text(output, "\n");
	}
}

/* ---- for programs ---- */

static size_t digits_at(struct pd_slice text, size_t at)
{
	size_t began = at;

	while (at < text.size && text.data[at] >= '0' && text.data[at] <= '9')
		at++;
	return at - began;
}

/* Is it a number as JSON writes one (RFC 8259)? No infinity is, no NaN, and no hexadecimal number. */
static bool is_json_number(struct pd_slice text)
{
	size_t at = text.size > 0 && text.data[0] == '-', digits = digits_at(text, at);

	if (digits == 0 || (digits > 1 && text.data[at] == '0'))
		return false;
	at += digits;
	if (at < text.size && text.data[at] == '.') {
		digits = digits_at(text, at + 1);
		if (digits == 0)
			return false;
		at += 1 + digits;
	}
	if (at < text.size && (text.data[at] | 0x20) == 'e') {
		at++;
		at += at < text.size && (text.data[at] == '+' || text.data[at] == '-');
		digits = digits_at(text, at);
		if (digits == 0)
			return false;
		at += digits;
	}
	return at == text.size;
}

static void json_value(struct pd_output *output, struct pd_slice *rest, unsigned depth);

static void json_map(struct pd_output *output, size_t count, struct pd_slice *rest, unsigned depth)
{
	pd_output_open(output, NULL, '{');
	for (size_t i = 0; i + 1 < count; i += 2) {
		struct pd_reply name = pd_reply_read(rest);
		char number[24];

		if (name.kind == PD_REPLY_INTEGER) {
			(void)snprintf(number, sizeof number, "%" PRId64, name.integer);
			name.text = pd_slice_string(number);
		}
		pd_output_key(output, name.text);
		json_value(output, rest, depth);
	}
	pd_output_close(output, '}');
}

/* Is each name of the map one that an object can have? */
static bool has_plain_names(struct pd_slice rest, size_t count)
{
	for (size_t i = 0; i + 1 < count; i += 2) {
		enum pd_reply_kind kind = pd_reply_read(&rest).kind;

		if (kind != PD_REPLY_TEXT && kind != PD_REPLY_INTEGER)
			return false;
		pd_reply_skip(&rest);
	}
	return true;
}

static void json_value(struct pd_output *output, struct pd_slice *rest, unsigned depth)
{
	struct pd_slice whole = *rest;
	struct pd_reply reply = pd_reply_read(rest);

	switch (reply.kind) {
	case PD_REPLY_TEXT:
		if ((reply.mark == ',' || reply.mark == '(') && is_json_number(reply.text))
			pd_output_literal_field(output, NULL, reply.text);
		else
			pd_output_bytes_field(output, NULL, reply.text);
		return;
	case PD_REPLY_ERROR:
		pd_output_open(output, NULL, '{');
		pd_output_bytes_field(output, "error", reply.text);
		pd_output_close(output, '}');
		return;
	case PD_REPLY_INTEGER:
		if (reply.mark == '#')
			pd_output_bool_field(output, NULL, reply.integer != 0);
		else
			pd_output_integer_field(output, NULL, reply.integer);
		return;
	case PD_REPLY_NULL:
		pd_output_null_field(output, NULL);
		return;
	case PD_REPLY_LIST:
		break;
	}
	if (depth == DEPTH_MAX) {
		*rest = whole;
		pd_reply_skip(rest);
		pd_output_string_field(output, NULL, "… nested too deep");
		return;
	}
	if (reply.mark == '%' && has_plain_names(*rest, reply.count)) {
		json_map(output, reply.count, rest, depth + 1);
		return;
	}
	pd_output_open(output, NULL, '[');
	for (size_t i = 0; i < reply.count; i++)
		json_value(output, rest, depth + 1);
	pd_output_close(output, ']');
}

void pd_reply_print(struct pd_output *output, struct pd_slice reply, const struct pd_reply_style *style)
{
	const struct pretty pretty = { .output = output, .colour = style->colour };

	switch (style->form) {
	case PD_REPLY_PRETTY:
		print_value(&pretty, &reply, 0, 0);
		break;
	case PD_REPLY_RAW:
		print_raw(output, reply);
		break;
	case PD_REPLY_JSON:
		json_value(output, &reply, 0);
		pd_output_end(output);
		break;
	}
}

void pd_reply_print_field(struct pd_output *output, const char *name, struct pd_slice reply)
{
	pd_output_key(output, pd_slice_string(name));
	json_value(output, &reply, 0);
}
