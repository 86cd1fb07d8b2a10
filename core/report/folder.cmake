foreach(file page.css page.js)
  xp_embed(xp_report core/report/${file})
endforeach()

xp_bench(report_bench bench/report/report_bench.cpp xp_report)
