#include "result.h"

#include <stdio.h>

#include "median.h"

static const char *mate_name(enum mate mate)
{
	return mate == MATE_THREAD ? "threads" : mate == MATE_PROCESS ? "processes" : "none";
}

static void print_json(const struct options *options, struct result *result)
{
	printf("{\"kind\": \"%s\", \"way\": \"%s\", \"edges\": %s, \"mate\": \"%s\", ",
		options->kind->name, options->loop ? options->loop->name : "read",
		options->edges ? "true" : "false", mate_name(options->mate));
	printf("\"channels\": %d, \"active\": %d, \"writes\": %ld, \"events\": %ld, \"runs\": [",
		options->channels, options->active, result->writes, result->events);
	for (int i = 0; i < options->runs; i++)
		printf("%s%.4f", i ? ", " : "", result->wall[i] / 1e3);
	printf("], \"median_us\": %.4f", median(result->wall, options->runs) / 1e3);
	printf(", \"median_cpu_us\": %.4f}\n", median(result->cpu, options->runs) / 1e3);
}

bool result_print(const struct options *options, struct result *result)
{
	if (options->json) {
		print_json(options, result);
	} else {
		for (int i = 0; i < options->runs; i++)
			printf("%.4f\n", result->wall[i] / 1e3);
	}
	if (result->events == result->writes)
		return true;
	fprintf(stderr, "%ld events after %ld writes\n", result->events, result->writes);
	return false;
}
