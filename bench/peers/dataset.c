#include "peers/dataset.h"

#include <string.h>

static uint64_t mix(uint64_t z)
{
	z += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

uint64_t bench_random(uint64_t *state)
{
	uint64_t before = *state;

	*state += UINT64_C(0x9e3779b97f4a7c15);
	return mix(before);
}

void bench_dataset_init(struct bench_dataset *dataset, uint64_t rows, uint64_t actors, uint64_t seed)
{
	*dataset = (struct bench_dataset){ .rows = rows, .actors = actors, .seed = seed, .half_bits = 1 };
	while (dataset->half_bits < 31 && (UINT64_C(1) << (2 * dataset->half_bits)) < rows)
		dataset->half_bits++;
}

/* A Feistel network permutes the next power of four; whoever lands behind the last row goes on from there (Black and
 * Rogaway, Ciphers with Arbitrary Finite Domains, 2002). */
uint64_t bench_dataset_place(const struct bench_dataset *dataset, uint64_t nth)
{
	uint64_t mask = (UINT64_C(1) << dataset->half_bits) - 1, number = nth;

	do {
		uint64_t left = number >> dataset->half_bits, right = number & mask;

		for (uint64_t turn = 0; turn < 4; turn++) {
			uint64_t next = left ^ (mix(right ^ turn << 32 ^ dataset->seed << 40) & mask);

			left = right;
			right = next;
		}
		number = left << dataset->half_bits | right;
	} while (number >= dataset->rows);
	return number;
}

void bench_row_key(const struct bench_dataset *dataset, uint64_t number, bool absent,
		   struct bench_row *ret_row)
{
	static const char digits[] = "0123456789abcdef";
	/* mix() gives no two numbers the same text. */
	uint64_t text = mix(absent ? number + (UINT64_C(1) << 48) : number), more = text * 5;

	ret_row->actor = number % dataset->actors;
	ret_row->key_size = BENCH_KEY_SIZE_MIN + text % (BENCH_KEY_SIZE_MAX - BENCH_KEY_SIZE_MIN + 1);
	for (unsigned i = 0; i < 16; i++)
		ret_row->key[i] = (uint8_t)digits[text >> (60 - 4 * i) & 15];
	for (unsigned i = 16; i < ret_row->key_size; i++)
		ret_row->key[i] = (uint8_t)digits[more >> (4 * i - 64) & 15];
}

void bench_row_value(const struct bench_dataset *dataset, uint64_t number, uint64_t version,
		     struct bench_row *row)
{
	uint64_t state = mix(number ^ version << 44 ^ dataset->seed << 56);
	uint64_t words[(BENCH_VALUE_SIZE + 7) / 8];

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		words[i] = state ^ state >> 29;
	}
	memcpy(row->value, words, BENCH_VALUE_SIZE);
}

uint64_t bench_dataset_rows_of(const struct bench_dataset *dataset, uint64_t actor)
{
	return dataset->rows / dataset->actors + (actor < dataset->rows % dataset->actors);
}
