/* What has changed since the last time: reads the directory's own log behind a bookmark.
 *
 *     ./changes DIRECTORY BOOKMARK-FILE [ACTOR KEY VALUE]
 *
 * Puts the value, if there is one, then prints what was done since the bookmark in the file, by whatever program, and keeps the new one.
 * Killed between the two, it prints the same changes again next time: whoever must do each of them once keeps the bookmark where what
 * it does is kept, in the same transaction. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <perdure.h>

/* "": there is none yet. */
static void read_bookmark(const char *path, char bookmark[PERDURE_BOOKMARK_SIZE])
{
	FILE *file = fopen(path, "r");

	memset(bookmark, 0, PERDURE_BOOKMARK_SIZE);
	if (file == NULL)
		return;
	if (fgets(bookmark, PERDURE_BOOKMARK_SIZE, file) != NULL)
		bookmark[strcspn(bookmark, "\n")] = '\0';
	(void)fclose(file);
}

static int write_bookmark(const char *path, const char *bookmark)
{
	FILE *file = fopen(path, "w");
	int written;

	if (file == NULL)
		return -1;
	written = fprintf(file, "%s\n", bookmark);
	return fclose(file) == 0 && written > 0 ? 0 : -1;
}

static void print_bytes(struct perdure_bytes bytes)
{
	(void)fwrite(bytes.data, 1, bytes.size, stdout);
}

static void print_effect(const struct perdure_effect *effect)
{
	printf("  ");
	print_bytes(effect->actor);
	printf(" ");
	print_bytes(effect->key);
	if (effect->place == PERDURE_PLACE_FIELD) {
		printf("[");
		print_bytes(effect->field);
		printf("]");
	}
	if (effect->place == PERDURE_PLACE_ACTOR) {
		printf("is dropped");
	} else if (effect->kind != PERDURE_EFFECT_PUT) {
		printf(" is gone");
	} else if (effect->value.size > 0) {
		printf(" = ");
		print_bytes(effect->value);
	}
	printf("\n");
}

/* All that is there by now. The bookmark moves with each record. */
static int print_changes(struct perdure *db, char bookmark[PERDURE_BOOKMARK_SIZE], struct perdure_error *err)
{
	struct perdure_records *records;
	const struct perdure_record *record;
	int result = perdure_records_new(db, bookmark[0] != '\0' ? bookmark : NULL, &records, err);

	if (result != 0)
		return result;
	while ((result = perdure_records_next(records, &record, err)) == 0) {
		size_t i;

		if (record->effect_count > 0)
			printf("%s\n", record->bookmark);
		for (i = 0; i < record->effect_count; i++)
			print_effect(&record->effects[i]);
		memcpy(bookmark, record->bookmark, PERDURE_BOOKMARK_SIZE);
	}
	perdure_records_free(records);
	return result == PERDURE_END ? 0 : result;
}

int main(int argc, char **argv)
{
	char bookmark[PERDURE_BOOKMARK_SIZE];
	struct perdure *db = NULL;
	struct perdure_session *session = NULL;
	struct perdure_error err;
	int result;

	if (argc != 3 && argc != 6) {
		fprintf(stderr, "usage: changes DIRECTORY BOOKMARK-FILE [ACTOR KEY VALUE]\n");
		return 2;
	}
	result = perdure_open(argv[1], NULL, &db, &err);
	if (result == 0)
		result = perdure_session_new(db, NULL, &session, &err);
	if (result == 0 && argc == 6)
		result = perdure_put(session, perdure_text(argv[3]), perdure_text(argv[4]),
				     perdure_text(argv[5]), &err);
	read_bookmark(argv[2], bookmark);
	if (result == 0)
		result = print_changes(db, bookmark, &err);
	if (result != 0)
		fprintf(stderr, "changes: %s (%s)\n", err.text, perdure_code_name(result));
	else if (write_bookmark(argv[2], bookmark) != 0)
		perror(argv[2]);
	perdure_session_free(session);
	if (perdure_close(db, &err) != 0)
		fprintf(stderr, "changes: %s\n", err.text);
	return result == 0 ? 0 : 1;
}
