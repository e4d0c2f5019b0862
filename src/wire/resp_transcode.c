/* Replies read back: to give them to a client of the other protocol, and to find where one ends. A reply is a
 * tree written root first, so no stack is needed: it is enough to count how many replies are still to come. */
#include "wire/resp.h"

#include "base/assert.h"

#define COUNT_MAX      INT32_MAX /* elements of one reply; keeps the sums below from overflowing */
#define COUNT_TEXT_MAX 20

enum reply_kind {
	REPLY_LINE,       /* + - : as they are in both protocols */
	REPLY_BULK,       /* $ */
	REPLY_VERBATIM,   /* = */
	REPLY_BULK_ERROR, /* ! */
	REPLY_NULL,       /* _ and $-1 */
	REPLY_NULL_ARRAY, /* *-1 */
	REPLY_DOUBLE,     /* , */
	REPLY_BIG_NUMBER, /* ( */
	REPLY_BOOLEAN,    /* # */
	REPLY_ARRAY,      /* * */
	REPLY_MAP,        /* % */
	REPLY_SET,        /* ~ */
	REPLY_PUSH,       /* > */
	REPLY_ATTRIBUTE,  /* |: a map that stands before a reply, and is none itself */
};

/* One node of the tree. */
struct node {
	enum reply_kind kind;
	struct pd_slice whole; /* with mark and line end */
	struct pd_slice text;  /* the content */
	size_t count;          /* of an aggregate, as announced */
	size_t children;       /* replies that follow and belong to it */
};

enum node_status { NODE_COMPLETE, NODE_CUT_SHORT, NODE_MALFORMED };

static bool is_boolean(struct pd_slice text)
{
	return text.size == 1 && (text.data[0] == 't' || text.data[0] == 'f');
}

static bool is_double(struct pd_slice text)
{
	double number;

	return pd_slice_equal(text, pd_slice_string("nan")) || pd_slice_to_double(text, &number);
}

static bool is_big_number(struct pd_slice text)
{
	size_t at = text.size > 0 && text.data[0] == '-';

	if (at == text.size)
		return false;
	for (; at < text.size; at++)
		if (text.data[at] < '0' || text.data[at] > '9')
			return false;
	return true;
}

/* Settle a node that is one line; `mark` and node->text are known. */
static enum node_status read_simple(struct node *node, uint8_t mark)
{
	int64_t number;
	bool good;

	switch (mark) {
	case '+':
	case '-':
		node->kind = REPLY_LINE;
		good = true;
		break;
	case ':':
		node->kind = REPLY_LINE;
		good = pd_slice_to_int64(node->text, &number);
		break;
	case ',':
		node->kind = REPLY_DOUBLE;
		good = is_double(node->text);
		break;
	case '(':
		node->kind = REPLY_BIG_NUMBER;
		good = is_big_number(node->text);
		break;
	case '#':
		node->kind = REPLY_BOOLEAN;
		good = is_boolean(node->text);
		break;
	default:
		node->kind = REPLY_NULL;
		good = node->text.size == 0;
		break;
	}
	return good ? NODE_COMPLETE : NODE_MALFORMED;
}

/* Settle a node whose line announces a size in bytes; `left` bytes follow the line. */
static enum node_status read_sized(struct node *node, uint8_t mark, int64_t size, size_t left)
{
	const uint8_t *content = node->whole.data + node->whole.size;

	if (mark == '$' && size == -1) {
		node->kind = REPLY_NULL;
		return NODE_COMPLETE;
	}
	if (size < (mark == '=' ? 4 : 0) || size > PD_RESP_BULK_MAX)
		return NODE_MALFORMED;
	if (mark == '=' && left > 3 && content[3] != ':')
		return NODE_MALFORMED;
	if (left < (size_t)size + 2)
		return NODE_CUT_SHORT;
	if (content[size] != '\r' || content[size + 1] != '\n')
		return NODE_MALFORMED;
	node->kind = mark == '$' ? REPLY_BULK : mark == '=' ? REPLY_VERBATIM : REPLY_BULK_ERROR;
	node->text = pd_slice(content, (size_t)size);
	node->whole.size += (size_t)size + 2;
	return NODE_COMPLETE;
}

/* Settle a node whose line announces a number of children. */
static enum node_status read_aggregate(struct node *node, uint8_t mark, int64_t count)
{
	if (mark == '*' && count == -1) {
		node->kind = REPLY_NULL_ARRAY;
		return NODE_COMPLETE;
	}
	if (count < 0 || count > COUNT_MAX)
		return NODE_MALFORMED;
	node->count = (size_t)count;
	node->children = node->count;
	switch (mark) {
	case '*':
		node->kind = REPLY_ARRAY;
		break;
	case '~':
		node->kind = REPLY_SET;
		break;
	case '>':
		node->kind = REPLY_PUSH;
		break;
	default:
		node->kind = mark == '%' ? REPLY_MAP : REPLY_ATTRIBUTE;
		node->children *= 2;
		break;
	}
	return NODE_COMPLETE;
}

enum shape { SHAPE_NONE, SHAPE_SIMPLE, SHAPE_SIZED, SHAPE_AGGREGATE };

static enum shape shape_of(uint8_t mark)
{
	switch (mark) {
	case '+':
	case '-':
	case ':':
	case ',':
	case '(':
	case '#':
	case '_':
		return SHAPE_SIMPLE;
	case '$':
	case '=':
	case '!':
		return SHAPE_SIZED;
	case '*':
	case '%':
	case '~':
	case '>':
	case '|':
		return SHAPE_AGGREGATE;
	default:
		return SHAPE_NONE;
	}
}

/* Read the node at the front of `data`, without its children. */
static enum node_status read_node(const uint8_t *data, size_t size, struct node *ret_node)
{
	enum shape shape = size > 0 ? shape_of(data[0]) : SHAPE_NONE;
	struct node node = { .whole = { data, 0 } };
	enum node_status status;
	const uint8_t *end;
	int64_t number;

	if (size == 0)
		return NODE_CUT_SHORT;
	if (shape == SHAPE_NONE)
		return NODE_MALFORMED;
	for (end = data + 1; end < data + size && *end != '\r' && *end != '\n'; end++)
		if (shape != SHAPE_SIMPLE && end - data > COUNT_TEXT_MAX)
			return NODE_MALFORMED;
	if (end < data + size && *end == '\n')
		return NODE_MALFORMED;
	if (data + size - end < 2)
		return NODE_CUT_SHORT;
	if (end[1] != '\n')
		return NODE_MALFORMED;
	node.text = pd_slice(data + 1, (size_t)(end - data) - 1);
	node.whole.size = (size_t)(end - data) + 2;
	if (shape == SHAPE_SIMPLE)
		status = read_simple(&node, data[0]);
	else if (!pd_slice_to_int64(node.text, &number))
		status = NODE_MALFORMED;
	else if (shape == SHAPE_SIZED)
		status = read_sized(&node, data[0], number, size - node.whole.size);
	else
		status = read_aggregate(&node, data[0], number);
	if (status == NODE_COMPLETE)
		*ret_node = node;
	return status;
}

/* An attribute's children come on top of the reply that it precedes. */
static size_t replies_after(size_t pending, const struct node *node)
{
	return node->kind == REPLY_ATTRIBUTE ? pending + node->children : pending - 1 + node->children;
}

size_t pd_resp_reply_size(const uint8_t *data, size_t size)
{
	size_t pending = 1;
	size_t at = 0;

	while (pending > 0) {
		struct node node;
		enum node_status status = read_node(data + at, size - at, &node);

		if (status != NODE_COMPLETE)
			return status == NODE_CUT_SHORT ? 0 : SIZE_MAX;
		pending = replies_after(pending, &node);
		at += node.whole.size;
	}
	return at;
}

static void write_node(struct pd_resp_writer *writer, const struct node *node)
{
	switch (node->kind) {
	case REPLY_NULL:
		pd_resp_write_null(writer);
		break;
	case REPLY_NULL_ARRAY:
		pd_resp_write_null_array(writer);
		break;
	case REPLY_BOOLEAN:
		pd_resp_write_boolean(writer, node->text.data[0] == 't');
		break;
	case REPLY_MAP:
		pd_resp_write_map(writer, node->count);
		break;
	case REPLY_SET:
		pd_resp_write_set(writer, node->count);
		break;
	case REPLY_PUSH:
		pd_resp_write_push(writer, node->count);
		break;
	case REPLY_VERBATIM:
		if (writer->protocol == 2)
			pd_resp_write_bulk(writer, pd_slice(node->text.data + 4, node->text.size - 4));
		else
			pd_resp_write_raw(writer, node->whole);
		break;
	case REPLY_DOUBLE:
	case REPLY_BIG_NUMBER:
		if (writer->protocol == 2)
			pd_resp_write_bulk(writer, node->text);
		else
			pd_resp_write_raw(writer, node->whole);
		break;
	case REPLY_BULK_ERROR:
		if (writer->protocol == 2)
			pd_resp_write_errorf(writer, "%.*s", (int)node->text.size,
					     (const char *)node->text.data);
		else
			pd_resp_write_raw(writer, node->whole);
		break;
	case REPLY_LINE:
	case REPLY_BULK:
	case REPLY_ARRAY:
	case REPLY_ATTRIBUTE:
		pd_resp_write_raw(writer, node->whole);
		break;
	}
}

int pd_resp_transcode(struct pd_slice reply3, struct pd_resp_writer *writer)
{
	size_t pending = 1;
	size_t hidden = 0; /* replies that belong to an attribute, which RESP2 does not know */
	size_t at = 0;

	/* All of it is checked before the first byte is written: half a reply would shift all that follow. */
	if (reply3.size == 0 || pd_resp_reply_size(reply3.data, reply3.size) != reply3.size)
		return PD_CORRUPT;
	while (pending > 0) {
		struct node node;

		if (read_node(reply3.data + at, reply3.size - at, &node) != NODE_COMPLETE)
			return PD_CORRUPT;
		at += node.whole.size;
		if (hidden > 0) {
			hidden = replies_after(hidden, &node);
			pending = replies_after(pending, &node);
			continue;
		}
		pending = replies_after(pending, &node);
		if (node.kind == REPLY_ATTRIBUTE && writer->protocol == 2)
			hidden = node.children;
		else
			write_node(writer, &node);
	}
	return writer->failed;
}

/* ---- reading ---- */

static struct node take_node(struct pd_slice *rest)
{
	struct node node;

	PD_ASSERT(read_node(rest->data, rest->size, &node) == NODE_COMPLETE);
	*rest = pd_slice(rest->data + node.whole.size, rest->size - node.whole.size);
	return node;
}

/* What a line means depends on its mark. */
static struct pd_reply line_reply(const struct node *node)
{
	struct pd_reply reply = { .kind = PD_REPLY_TEXT, .text = node->text };

	if (node->whole.data[0] == '-')
		reply.kind = PD_REPLY_ERROR;
	if (node->whole.data[0] == ':') {
		reply.kind = PD_REPLY_INTEGER;
		PD_ASSERT(pd_slice_to_int64(node->text, &reply.integer)); /* read_simple() has looked */
	}
	return reply;
}

static struct pd_reply node_reply(const struct node *node)
{
	switch (node->kind) {
	case REPLY_LINE:
		return line_reply(node);
	case REPLY_VERBATIM:
		return (struct pd_reply){ .kind = PD_REPLY_TEXT,
					  .text = pd_slice(node->text.data + 4, node->text.size - 4) };
	case REPLY_BULK_ERROR:
		return (struct pd_reply){ .kind = PD_REPLY_ERROR, .text = node->text };
	case REPLY_NULL:
	case REPLY_NULL_ARRAY:
		return (struct pd_reply){ .kind = PD_REPLY_NULL };
	case REPLY_BOOLEAN:
		return (struct pd_reply){ .kind = PD_REPLY_INTEGER, .integer = node->text.data[0] == 't' };
	case REPLY_ARRAY:
	case REPLY_MAP:
	case REPLY_SET:
	case REPLY_PUSH:
		return (struct pd_reply){ .kind = PD_REPLY_LIST, .count = node->children };
	case REPLY_BULK:
	case REPLY_DOUBLE:
	case REPLY_BIG_NUMBER:
	case REPLY_ATTRIBUTE:
		break;
	}
	return (struct pd_reply){ .kind = PD_REPLY_TEXT, .text = node->text };
}

struct pd_reply pd_reply_read(struct pd_slice *rest)
{
	struct node node = take_node(rest);
	struct pd_reply reply;

	while (node.kind == REPLY_ATTRIBUTE) {
		for (size_t i = 0; i < node.children; i++)
			pd_reply_skip(rest);
		node = take_node(rest);
	}
	reply = node_reply(&node);
	reply.mark = (char)node.whole.data[0];
	return reply;
}

void pd_reply_skip(struct pd_slice *rest)
{
	size_t pending = 1;

	while (pending > 0) {
		struct node node = take_node(rest);

		pending = replies_after(pending, &node);
	}
}

bool pd_reply_field(struct pd_slice reply, const char *name, struct pd_slice *ret_value)
{
	struct pd_reply list = pd_reply_read(&reply);

	if (list.kind != PD_REPLY_LIST)
		return false;
	for (size_t i = 0; i + 1 < list.count; i += 2) {
		struct pd_slice at = reply;
		struct pd_reply key = pd_reply_read(&at);

		if (key.kind == PD_REPLY_TEXT && pd_slice_equal(key.text, pd_slice_string(name))) {
			*ret_value = at;
			return true;
		}
		pd_reply_skip(&reply);
		pd_reply_skip(&reply);
	}
	return false;
}
