# Fails when an object of an instruction set holds a weak symbol: the linker keeps one copy of such a function among all
# files, and a copy compiled for AVX-512 must not serve a CPU without it.
foreach(object IN LISTS OBJECTS)
  execute_process(COMMAND ${NM} --defined-only ${object} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "[0-9a-f]+ [WVu] [^\n]+" weak "${symbols}")
  if(weak)
    message(SEND_ERROR "${object} holds weak symbols: ${weak}")
  endif()
endforeach()
