// One unit, as tests_of_codes.cpp.
#include "elements_test.cpp"
#include "pairwise_functions_test.cpp"
#include "pairwise_test.cpp"
#include "surrogate_test.cpp"
#include "triplets_test.cpp"
#include "values_test.cpp"
