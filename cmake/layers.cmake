xp_library(core/base        PUBLIC fmt::fmt Threads::Threads PRIVATE OpenSSL::Crypto)
xp_library(core/metric      PUBLIC exp::base)
xp_library(tracker          PUBLIC exp::base PRIVATE SQLite::SQLite3 ZLIB::ZLIB nlohmann_json::nlohmann_json)
xp_library(core/recipe      ONCE PUBLIC exp::base PRIVATE nlohmann_json::nlohmann_json)
xp_library(core/checkpoint  PUBLIC exp::base PRIVATE nlohmann_json::nlohmann_json ZLIB::ZLIB)
xp_library(core/schema      ONCE PUBLIC exp::base exp::recipe exp::metric PRIVATE exp::checkpoint nlohmann_json::nlohmann_json)
xp_library(core/ops         PUBLIC exp::base exp::schema)
xp_library(core/graph       ONCE PUBLIC exp::base exp::recipe exp::schema exp::tracker PRIVATE nlohmann_json::nlohmann_json)
xp_library(data             PUBLIC exp::base exp::recipe exp::schema exp::graph
                            PRIVATE exp::ops exp::checkpoint exp_hdf5 exp_ogg exp_sndfile exp_soxr exp_png OpenSSL::Crypto nlohmann_json::nlohmann_json)
xp_library(core/report      PUBLIC exp::base exp::tracker exp::metric PRIVATE nlohmann_json::nlohmann_json)
xp_library(core/frontend    TORCH PUBLIC exp::base exp::schema exp::ops)
xp_library(core/model       TORCH PUBLIC exp::base exp::schema exp::frontend PRIVATE exp::ops exp::checkpoint)
xp_library(core/dist        TORCH PUBLIC exp::base exp::schema exp::graph exp::tracker)
xp_library(core/batches     TORCH PUBLIC exp::base exp::schema exp::graph exp::data exp::frontend)
xp_library(core/load        TORCH PUBLIC exp::base exp::schema exp::graph exp::model exp::batches
                            PRIVATE exp::checkpoint nlohmann_json::nlohmann_json)
xp_library(core/evaluate    TORCH PUBLIC exp::base exp::schema exp::graph exp::tracker exp::data exp::dist exp::model exp::batches exp::load
                            PRIVATE exp::metric exp::frontend exp::ops exp_hdf5 nlohmann_json::nlohmann_json)
xp_library(core/train       TORCH PUBLIC exp::base exp::schema exp::graph exp::tracker exp::data exp::dist exp::model exp::batches exp::load exp::evaluate
                            PRIVATE exp::checkpoint exp::frontend nlohmann_json::nlohmann_json)
xp_library(core/run         ONCE PUBLIC exp::base exp::recipe exp::schema exp::graph exp::tracker PRIVATE nlohmann_json::nlohmann_json)
xp_library(sweeps           ONCE PUBLIC exp::base exp::recipe exp::schema exp::graph exp::tracker exp::run
                            PRIVATE SQLite::SQLite3 nlohmann_json::nlohmann_json)
xp_programs(core/cli        PUBLIC exp::base exp::recipe exp::schema exp::graph exp::tracker exp::run exp::sweeps
                            PRIVATE exp::report exp::metric exp::checkpoint
                                    CLI11::CLI11 nlohmann_json::nlohmann_json SQLite::SQLite3
                            COMPUTE exp::data exp::frontend exp::model exp::dist exp::batches exp::load exp::evaluate exp::train exp::ops
                                    exp::checkpoint exp::metric nlohmann_json::nlohmann_json exp_png)
