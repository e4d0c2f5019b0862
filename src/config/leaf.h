/* What the readers of both formats find in a file, value by value, in its order. For C and C++. */
#ifndef PD_CONFIG_LEAF_H
#define PD_CONFIG_LEAF_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum pd_config_leaf_kind {
	PD_CONFIG_STRING,
	PD_CONFIG_INTEGER,
	PD_CONFIG_BOOLEAN,
	PD_CONFIG_OTHER, /* a list, a table, a date, a fraction, nothing: no setting is one */
};

struct pd_config_leaf {
	const char *path; /* "server.resp"; what is not a plain character of a key is "?" */
	enum pd_config_leaf_kind kind;
	bool is_table;    /* an empty one, or one deeper than any setting lies */
	const char *text; /* not NUL-terminated */
	size_t size;
	unsigned line;
};

struct pd_config_reader {
	void *context;
	void (*leaf)(void *context, const struct pd_config_leaf *leaf);
	void (*wrong)(void *context, unsigned line, const char *text);
};

/* Tell the reader each value, or what is wrong with the text. */
void pd_config_read_json(const char *text, size_t size, const struct pd_config_reader *reader);
void pd_config_read_toml(const char *text, size_t size, const struct pd_config_reader *reader);

#ifdef __cplusplus
}
#endif

#endif
