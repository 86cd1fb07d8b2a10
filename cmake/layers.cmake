xp_library(core/base        PUBLIC fmt::fmt Threads::Threads PRIVATE OpenSSL::Crypto)
xp_library(core/metric      PUBLIC xp::base)
xp_library(tracker          PUBLIC xp::base PRIVATE SQLite::SQLite3 ZLIB::ZLIB nlohmann_json::nlohmann_json)
xp_library(core/recipe      ONCE PUBLIC xp::base PRIVATE nlohmann_json::nlohmann_json)
xp_library(core/checkpoint  PUBLIC xp::base PRIVATE nlohmann_json::nlohmann_json ZLIB::ZLIB)
xp_library(core/schema      ONCE PUBLIC xp::base xp::recipe xp::metric PRIVATE xp::checkpoint nlohmann_json::nlohmann_json)
xp_library(core/ops         PUBLIC xp::base xp::schema)
xp_library(core/graph       ONCE PUBLIC xp::base xp::recipe xp::schema xp::tracker PRIVATE nlohmann_json::nlohmann_json)
xp_library(data             PUBLIC xp::base xp::recipe xp::schema xp::graph
                            PRIVATE xp::ops xp::checkpoint xp_hdf5 xp_ogg xp_sndfile xp_soxr xp_png OpenSSL::Crypto nlohmann_json::nlohmann_json)
xp_library(core/report      PUBLIC xp::base xp::tracker xp::metric PRIVATE nlohmann_json::nlohmann_json)
xp_library(core/frontend    TORCH PUBLIC xp::base xp::schema xp::ops)
xp_library(core/model       TORCH PUBLIC xp::base xp::schema xp::frontend PRIVATE xp::ops xp::checkpoint)
xp_library(core/dist        TORCH PUBLIC xp::base xp::schema xp::graph xp::tracker)
xp_library(core/batches     TORCH PUBLIC xp::base xp::schema xp::graph xp::data xp::frontend)
xp_library(core/load        TORCH PUBLIC xp::base xp::schema xp::graph xp::model xp::batches
                            PRIVATE xp::checkpoint nlohmann_json::nlohmann_json)
xp_library(core/evaluate    TORCH PUBLIC xp::base xp::schema xp::graph xp::tracker xp::data xp::dist xp::model xp::batches xp::load
                            PRIVATE xp::metric xp::frontend xp::ops xp_hdf5 nlohmann_json::nlohmann_json)
xp_library(core/train       TORCH PUBLIC xp::base xp::schema xp::graph xp::tracker xp::data xp::dist xp::model xp::batches xp::load xp::evaluate
                            PRIVATE xp::checkpoint xp::frontend nlohmann_json::nlohmann_json)
xp_library(core/run         ONCE PUBLIC xp::base xp::recipe xp::schema xp::graph xp::tracker PRIVATE nlohmann_json::nlohmann_json)
xp_library(sweeps           ONCE PUBLIC xp::base xp::recipe xp::schema xp::graph xp::tracker xp::run
                            PRIVATE SQLite::SQLite3 nlohmann_json::nlohmann_json)
xp_programs(core/cli        PUBLIC xp::base xp::recipe xp::schema xp::graph xp::tracker xp::run xp::sweeps
                            PRIVATE xp::report xp::metric xp::checkpoint
                                    CLI11::CLI11 nlohmann_json::nlohmann_json SQLite::SQLite3
                            COMPUTE xp::data xp::frontend xp::model xp::dist xp::batches xp::load xp::evaluate xp::train xp::ops
                                    xp::checkpoint xp::metric nlohmann_json::nlohmann_json xp_png)
