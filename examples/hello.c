/* The shortest way through: open a directory, write, read, close.
 *
 *     cc examples/hello.c $(pkg-config --cflags --libs perdure) -o hello && ./hello data */
#include <stdio.h>

#include <perdure.h>

int main(int argc, char **argv)
{
	const struct perdure_bytes actor = perdure_text("user:42");
	struct perdure *db = NULL;
	struct perdure_session *session = NULL;
	struct perdure_value value;
	struct perdure_error err;
	int result = perdure_open(argc > 1 ? argv[1] : "data", NULL, &db, &err);

	if (result == 0)
		result = perdure_session_new(db, NULL, &session, &err);
	/* On stable storage when it returns. */
	if (result == 0)
		result = perdure_put(session, actor, perdure_text("cart"), perdure_text("3 apples"), &err);
	if (result == 0)
		result = perdure_get(session, actor, perdure_text("cart"), &value, &err);
	if (result == 0) {
		printf("user:42 has %s\n", (const char *)value.data);
		perdure_free(value.data);
	}
	perdure_session_free(session);
	if (perdure_close(db, result == 0 ? &err : NULL) != 0 && result == 0)
		result = err.code;
	if (result != 0) {
		fprintf(stderr, "%s: %s\n", perdure_code_name(result), err.text);
		return 1;
	}
	return 0;
}
